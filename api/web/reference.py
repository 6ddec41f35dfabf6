"""`/redoc/`: the OpenAPI documents as a page to read, without a script (row A42)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response, get
from markupsafe import Markup, escape

from api.ocs import description as ocs
from api.openapi import document
from api.serving import AnyRequest, base_url, serving_of
from api.v1 import description as own
from api.web.pages import page

_SOURCES = {"The archive's interface": "/openapi/", "Our own API": "/api/v1/openapi.json"}
_PAGES = {"/redoc/": "The archive's interface", "/redoc/own/": "Our own API"}


@get("/redoc")
async def archive_reference(request: AnyRequest) -> Response[str]:
    """The OCS surface."""
    serving = serving_of(request)
    described = ocs.surface(serving.core.settings, serving.types.known())
    return _reference(document(described, base_url(serving.core, request)), "/redoc/")


@get("/redoc/own")
async def own_reference(request: AnyRequest) -> Response[str]:
    """The own API."""
    core = serving_of(request).core
    return _reference(document(own.surface(), base_url(core, request)), "/redoc/own/")


def _reference(described: Mapping[str, Any], here: str) -> Response[str]:
    sections = [
        {
            **tag,
            "operations": [
                {"method": method, "path": path, **operation}
                for path, methods in described["paths"].items()
                for method, operation in methods.items()
                if tag["name"] in operation["tags"]
            ],
        }
        for tag in described["tags"]
    ]
    return page(
        "reference.html",
        document=described,
        sections=sections,
        here=here,
        pages=_PAGES,
        source=_SOURCES[_PAGES[here]],
        kind=kind,
        access=_access,
    )


def kind(schema: Mapping[str, Any]) -> Markup:
    """A schema in a few words, with links to those that have names."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if "anyOf" in schema:
        return Markup(" or ").join(kind(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return Markup(", ").join(Markup("<code>{}</code>").format(choice) for choice in schema["enum"])
    if "const" in schema:
        return Markup("<code>{}</code>").format(schema["const"])
    if schema.get("type") == "array":
        return Markup("list of ") + kind(schema.get("items", {}))
    return escape(_plain(schema))


def _plain(schema: Mapping[str, Any]) -> str:
    found = schema.get("type", "anything")
    words = [found if isinstance(found, str) else " or ".join(found)]
    if "format" in schema:
        words = [schema["format"]]
    for name, told in (("minimum", "from"), ("maximum", "to"), ("maxLength", "at most characters:")):
        if name in schema:
            words.append(f"{told} {schema[name]}")
    if schema.get("default", "") != "":
        words.append(f"(default {schema['default']})".lower())
    return " ".join(words)


def _access(operation: Mapping[str, Any]) -> str:
    return "anyone" if {} in operation["security"] else "credentials needed"
