"""One id from a request to all that it leads to: in the answer, in the events, in the log."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.integration.api.deliveries import create, folder_body, observe, story, transfer
from tests.records import fits_bytes, new_name
from tests.site import PROPOSAL, Site, eventually

HEADER = "X-Request-ID"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def named() -> str:
    return f"night-{secrets.token_hex(6)}"


def of(site: Site, correlation: str) -> list[dict[str, Any]]:
    """What a request led to, oldest first."""
    answer = site.admin.get("/api/v1/events", params={"correlation": correlation, "limit": 1000})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def test_from_the_request_to_the_deletion_of_the_file_there_is_one_correlation_and_a_chain_of_causes(
    site: Site,
) -> None:
    config = create(site.user, folder_body(site, delete_from_server=True))["id"]
    number, name, correlation = observe(site.user, config), new_name(), named()
    site.settle()
    data = fits_bytes(BLKUID=number, PROPID=PROPOSAL)
    answer = site.admin.post("/api/v1/ingest", files={"file": (f"{name}.fits", data)}, headers={HEADER: correlation})
    assert (answer.status_code, answer.headers[HEADER]) == (201, correlation)
    eventually(lambda: not [path for path in site.files() if name in path.name], "its bytes are still there")
    site.settle()
    told = of(site, correlation)
    assert [entry["event"] for entry in told] == [
        "frame.file_processed", "transfer.requested", "transfer.started", "transfer.completed",
        "frame.file_deleted_from_server",
    ]  # fmt: skip
    assert [entry["causation"] for entry in told] == [None, *(entry["position"] for entry in told[:-1])]
    assert [entry["via"] for entry in told] == ["api", "policy", "worker", "worker", "policy"]
    assert {entry["correlation"] for entry in story(site.admin, "frame", name)} == {correlation}


def test_what_follows_a_retry_belongs_to_the_retry(site: Site) -> None:
    body = folder_body(site)
    config = create(site.user, body)["id"]
    number, first, again = observe(site.user, config), named(), named()
    root = Path(body["credentials"]["root"])
    root.rmdir()
    data = fits_bytes(BLKUID=number)
    files = {"file": (f"{new_name()}.fits", data)}
    site.admin.post("/api/v1/ingest", files=files, headers={HEADER: first})
    failed = transfer(site.user, "failed", observation=number)
    root.mkdir()
    site.user.post(f"/api/v1/transfers/{failed['id']}/retry", headers={HEADER: again})
    transfer(site.user, "completed", observation=number)
    told = story(site.user, "transfer", failed["id"])
    retried = [entry["event"] for entry in told].index("transfer.retried")
    assert {entry["correlation"] for entry in told[:retried]} == {first}
    assert {entry["correlation"] for entry in told[retried:]} == {again}
    assert [entry["causation"] for entry in told[retried + 1 :]] == [entry["position"] for entry in told[retried:-1]]


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({HEADER: "a1b2c3d4-e5f6-7890"}, "a1b2c3d4-e5f6-7890"),
        ({HEADER: "x" * 64}, "x" * 64),
        (
            {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
            TRACE,
        ),
        ({HEADER: "mine-0001", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, "mine-0001"),
        ({HEADER: "x" * 65}, ""),
        ({HEADER: "short"}, ""),
        ({HEADER: "=cmd|'/c calc'!A1"}, ""),
        ({HEADER: "-starts-oddly"}, ""),
        ({HEADER: "two words here"}, ""),
        ({HEADER: "caf\u00e9-caf\u00e9"}, ""),
        ({"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"}, ""),
        ({"traceparent": f"ff-{TRACE}-b7ad6b7169203331-01"}, ""),
        ({}, ""),
    ],
)
def test_a_good_id_is_taken_and_another_is_made_for_anything_else(
    site: Site, headers: dict[str, str], taken: str
) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = site.anonymous.get("/healthz", headers=raw)
    (given,) = answer.headers.get_list(HEADER)
    assert given == taken if taken else re.fullmatch(r"[0-9a-f]{16}", given)


@pytest.mark.parametrize(
    ("method", "route", "status"),
    [("GET", "/frames/", 200), ("HEAD", "/frames/", 200), ("OPTIONS", "/frames/", 200), ("GET", "/nothing", 404),
     ("GET", "/api/v1/transfers", 401), ("GET", "/api/v1/nothing", 404), ("DELETE", "/frames/", 405),
     ("GET", "/admin/", 302), ("GET", "/frames.json", 200)],
)  # fmt: skip
def test_every_answer_names_its_request(site: Site, method: str, route: str, status: int) -> None:
    answer = site.anonymous.request(method, route, headers={HEADER: "every-answer"})
    assert (answer.status_code, answer.headers[HEADER]) == (status, "every-answer")
    preflight = {"Origin": "https://x.example", "Access-Control-Request-Method": "GET", HEADER: "every-answer"}
    assert site.anonymous.options(route, headers=preflight).headers[HEADER] == "every-answer"


def test_requests_without_an_id_have_one_each(site: Site) -> None:
    assert len({site.anonymous.get("/healthz").headers[HEADER] for _ in range(20)}) == 20


def test_what_a_request_logs_names_it(site: Site) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        site.admin.post(
            "/api/v1/ingest", files={"file": ("broken.fits", b"SIMPLE  = no")}, headers={HEADER: "logged-0001"}
        )
    (line,) = [line for line in logs if line["event"] == "ingest failed"]
    assert line["correlation"] == "logged-0001"
