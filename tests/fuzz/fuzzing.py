"""Requests made up from the OpenAPI documents by schemathesis, sent by three viewers, and what came of them.

Half of the requests are as described, half are not; half of the ids in paths are those of things that exist.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import hypothesis
import hypothesis.strategies as st
import msgspec
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from adapters.ids import new_token
from api.v1.description import surface
from api.v1.transfer_events import MEDIA
from application.commands.accounts import create_token
from tests.records import record
from tests.routes import served, shape
from tests.site import CAUSE, Site

DOCUMENTS = ("/openapi/", "/api/v1/openapi.json")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
TIMEOUT = 20
"""Seconds without an answer that count as a hang."""
VIEWERS = ("", "alice", "admin")
"""Nobody, a user, a superuser."""
Ids = Mapping[str, Sequence[str]]


class Outcome(msgspec.Struct):
    """How many requests there were, the statuses of their answers, and what went wrong, each kind once."""

    requests: int = 0
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    faults: dict[str, str] = {}


def fuzz(site: Site, requests_wanted: int, *, derandomize: bool) -> Outcome:
    """Send about so many requests, spread evenly over viewers and operations."""
    outcome = Outcome(faults={})
    known = some_of_everything(site)
    operations = list(_operations(site))
    each = max(2, requests_wanted // (len(operations) * len(VIEWERS)))
    session = requests.Session()
    session.trust_env = False
    for viewer in VIEWERS:
        for operation in operations:
            headers = _credentials(site, viewer)
            _try(operation, site.url, viewer, headers, each, known, session, outcome, derandomize)
    return outcome


def _credentials(site: Site, viewer: str) -> dict[str, str]:
    """A fresh token each time: some of the requests end tokens."""
    if not viewer:
        return {}
    token, core = new_token(), site.core
    create_token(core.log, core.clock, CAUSE, viewer, token)
    return {"Authorization": f"Token {token}"}


def some_of_everything(site: Site) -> Ids:
    """Make one of each thing that paths name, so that requests get past `not found`."""
    frame = site.post(record(proposal_id="", related_frame_filenames=[]))
    observation = site.admin.post("/api/v1/observations", json={"name": "fuzzed"}).json()["id"]
    config = site.admin.post(
        "/api/v1/storage-configs",
        json={"provider": "folder", "display_name": "Copies", "credentials": {"root": _root(site)}},
    ).json()["id"]
    standing = site.admin.post(
        "/api/v1/standing-deliveries",
        json={"name": "Fuzzed", "query": "site_id=fuzz", "destinations": [config], "paused": True},
    ).json()["id"]
    groups = [site.admin.post(f"/api/v1/{kind}", json={"name": "Survey"}).json()["id"] for kind in _GROUPS]
    site.settle()
    versions = site.admin.get("/versions/").json()["results"]
    return {
        "frame_id": [str(frame["id"])],
        "version_id": [str(version["id"]) for version in versions[:3]],
        "basename": [frame["basename"]],
        "observation": [observation],
        "config_id": [config],
        "standing_delivery": [standing],
        "kind": ["frame", "observation", "storage-config", "account", "transfer"],
        "group": groups,
        "username": ["alice", "admin"],
        "name": [frame["basename"], observation, config, "alice"],
    }


_GROUPS = ("organizations", "projects")


def _root(site: Site) -> str:
    roots = site.core.settings["STARFERRY_FOLDER_ROOTS"]
    return str(roots[0])


def _operations(site: Site) -> Iterator[Any]:
    routes = served()
    endless = {
        (described.method, shape(described.path))
        for described in surface().operations
        if any(answer.media == MEDIA for answer in described.answers.values())
    }
    for route in DOCUMENTS:
        document = site.anonymous.get(route).json()
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = found.ok()
            asked = (operation.method, shape(operation.path))
            if asked in routes and asked not in endless:
                yield operation


def _try(
    operation: Any,
    url: str,
    viewer: str,
    headers: dict[str, str],
    times: int,
    known: Ids,
    session: requests.Session,
    outcome: Outcome,
    derandomize: bool,
) -> None:
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))

    @hypothesis.settings(
        max_examples=times,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(cases, st.data())
    def send(case: Any, data: st.DataObject) -> None:
        if data.draw(st.booleans()):
            for name in case.path_parameters or {}:
                if known.get(name):
                    case.path_parameters[name] = data.draw(st.sampled_from(known[name]))
        if isinstance(case.query, dict) and str(case.query.get("wait", "")).isdecimal():
            case.query["wait"] = min(int(case.query["wait"]), 1)  # who asks for a long wait gets one
        fault = _fault(case, url, headers, session, outcome)
        if fault:
            title = fault.splitlines()[0][:200]
            outcome.faults.setdefault(
                f"{viewer or 'anonymous'} {operation.method.upper()} {operation.path}: {title}", fault
            )

    with suppress(hypothesis.errors.Unsatisfiable):  # where nothing can be made up that would be wrong
        send()


def _fault(case: Any, url: str, headers: dict[str, str], session: requests.Session, outcome: Outcome) -> str:
    outcome.requests += 1
    try:
        answer = case.call(url, session=session, headers=headers, timeout=TIMEOUT)
    except (requests.ConnectionError, requests.Timeout) as error:
        return f"no answer: {type(error).__name__}\n{error}\n{case.as_curl_command()[:3000]}"
    except (requests.RequestException, UnicodeError, ValueError):
        return ""  # such a request can't be sent
    outcome.statuses[answer.status_code] += 1
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as group:
        kinds = ", ".join(sorted({type(one).__name__ for one in group.exceptions}))
        told = "\n".join(str(one)[:500] for one in group.exceptions)
        return f"{answer.status_code} {kinds}\n{told}\n{case.as_curl_command()[:3000]}"
    return ""
