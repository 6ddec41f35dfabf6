"""The OpenAPI documents say what is served: every route, every parameter, and nothing else (row A41)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from adapters.sky.spherical_sky import SphericalSky
from api.ocs import description as ocs
from api.ocs import filters
from api.settings import Settings
from api.v1 import description as own
from domain.errors import InvalidGeometry
from tests.routes import served, shape
from tests.site import Site

SETTINGS = Settings({})
TYPES = SETTINGS["CONFIGURATION_TYPES"]


def described() -> set[tuple[str, str]]:
    operations = [*ocs.surface(SETTINGS, TYPES).operations, *own.surface().operations]
    return {(operation.method, shape(operation.path)) for operation in operations}


def test_a41_every_route_is_described_and_every_description_is_served() -> None:
    assert not served() - described(), "served, and in no document"
    assert described() <= served(), "described, and not served"


@pytest.mark.parametrize("route", ["/openapi/", "/api/v1/openapi.json"])
def test_a41_the_document_is_valid_and_names_this_server(site: Site, route: str) -> None:
    answer = site.anonymous.get(route)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    document = answer.json()
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": site.url}]
    identifiers = [operation["operationId"] for operation in operations(document)]
    assert len(identifiers) == len(set(identifiers))


def test_a41_those_who_ask_for_the_openapi_media_type_get_it(site: Site) -> None:
    answer = site.anonymous.get("/openapi/", headers={"Accept": "application/vnd.oai.openapi"})
    assert answer.headers["content-type"].startswith("application/vnd.oai.openapi")
    assert answer.json()["paths"]["/frames/"]["get"]


def test_a41_bodies_error_shapes_and_security_are_described(site: Site) -> None:
    document = site.anonymous.get("/openapi/").json()
    assert set(document["components"]["securitySchemes"]) == {"token", "session", "bearer", "server"}
    for operation in operations(document):
        assert operation["security"]
        assert "401" in operation["responses"]
    create = document["paths"]["/frames/"]["post"]
    assert {} not in create["security"]
    assert set(create["requestBody"]["content"]) >= {"application/json", "multipart/form-data"}
    assert create["responses"]["400"]["content"]["application/json"]["schema"]
    assert document["components"]["schemas"]["Error"]["required"] == ["detail"]
    problem = site.anonymous.get("/api/v1/openapi.json").json()["components"]["schemas"]["Problem"]
    assert set(problem["required"]) == {"type", "title", "status", "detail"}


def test_a41_the_choices_are_those_of_the_settings() -> None:
    settings = Settings({"PAGINATION_DEFAULT_LIMIT": "7"})
    parameters = {
        p.name: p
        for o in ocs.surface(settings, ["EXPOSE", "ARC"]).operations
        if o.path == "/frames/"
        for p in o.parameters
    }
    assert parameters["include_configuration_type"].schema["enum"] == ["EXPOSE", "ARC"]
    assert parameters["limit"].schema["default"] == 7


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


PROBES = ("1", "true", "false", "x", "-x", "2020-01-01", "EXPOSE", "POINT(1 1)", "id")
ELSEWHERE = {"at", "format", "pagination_style", "cursor", "after"}
"""Read by the handler and by negotiation, not by the two parsers."""


def test_a41_every_parameter_that_the_parser_knows_is_described_and_the_reverse() -> None:
    (search,) = (o for o in ocs.surface(SETTINGS, TYPES).operations if o.path == "/frames/" and o.method == "get")
    told = {parameter.name for parameter in search.parameters}
    known = {word for word in _words_of_the_parser() | told if _has_effect(word)}
    assert not known - told, "understood, and not described"
    assert not told - known - ELSEWHERE, "described, and without effect"


def _words_of_the_parser() -> set[str]:
    folder = Path(filters.__file__).parent
    trees = [ast.parse(file.read_text()) for file in folder.glob("*.py") if not file.name.startswith("description")]
    constants = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {text for text in constants if isinstance(text, str) and re.fullmatch(r"[A-Za-z_]{2,40}", text)}


def _has_effect(name: str) -> bool:
    nothing = _understood([])
    return any(_understood([(name, probe)]) != nothing for probe in PROBES)


def _understood(parameters: list[tuple[str, str]]) -> object:
    try:
        search = filters.parse_search(
            parameters, SphericalSky(), types=TYPES, science_types=SETTINGS["SCIENCE_CONFIGURATION_TYPES"]
        )
    except (filters.FilterErrors, InvalidGeometry) as error:
        return str(getattr(error, "errors", error))
    return str(search), filters.parse_controls(parameters, default_limit=100, max_limit=1000)
