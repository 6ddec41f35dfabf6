"""Google Cloud Storage's faults, each from the wire up: what the destination makes of them, and that it goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from google.auth import _regional_access_boundary_utils
from google.auth.transport.requests import AuthorizedSession
from google.oauth2 import service_account

from adapters.destinations.gcs_client import SCOPE
from adapters.destinations.google_cloud_storage import GcsDestination
from adapters.destinations.hash_match import verify
from application.ports.destination import Destination, Session
from domain.errors import (
    DestinationPaused,
    GiveUp,
    Misconfigured,
    NeedsAuthorization,
    RetryLater,
    StarferryError,
)
from tests.contract.destination_harness import as_found, content, deliver, raised_text, send, upload_of
from tests.contract.gcs_harness import BUCKET, EMAIL, GcsHarness

PATH = "/M31/image_001.fits"
QUARTER_MIB = 256 * 1024
DATA = content(5 * QUARTER_MIB + 9)
UPLOAD = upload_of(DATA, PATH)
CHUNK = "upload_id"


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[GcsHarness]:
    made = GcsHarness(tmp_path)
    yield made
    made.close()


@pytest.fixture
def destination(harness: GcsHarness) -> Destination:
    return harness.open(chunk_size=2 * QUARTER_MIB)


def google_error(reason: str, message: str = "see reason") -> str:
    return json.dumps({"error": {"message": message, "errors": [{"reason": reason, "message": message}]}})


def goes_on(harness: GcsHarness, destination: Destination, session: Session | None) -> None:
    """The next attempt delivers exactly one object."""
    verify(UPLOAD, deliver(destination, UPLOAD, DATA, session))
    assert harness.objects() == {PATH: DATA}
    if session is not None:
        assert harness.unfinished() == 0


def attempt(destination: Destination) -> None:
    """As a worker does it: first it looks whether the file is there."""
    assert destination.find(UPLOAD) is None
    deliver(destination, UPLOAD, DATA)


def refused(harness: GcsHarness, error: pytest.ExceptionInfo[Any]) -> str:
    """The error's text, checked for secrets."""
    text = raised_text(error.value)
    assert [one for one in harness.secrets() if one in text] == []
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return str(error.value)


@pytest.mark.parametrize("persist", [QUARTER_MIB, QUARTER_MIB + 5])
def test_after_a_partial_persist_the_missing_bytes_are_sent_again(
    harness: GcsHarness, destination: Destination, persist: int
) -> None:
    harness.gcs.fault(method="PUT", path=CHUNK, nth=2, persist=persist)
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=2)
    assert session.offset == 3 * QUARTER_MIB
    verify(UPLOAD, destination.finish(UPLOAD, send(destination, UPLOAD, DATA, session)))
    assert harness.objects() == {PATH: DATA}


def test_a_last_chunk_that_is_kept_in_part_does_not_complete_the_object(
    harness: GcsHarness, destination: Destination
) -> None:
    harness.gcs.fault(method="PUT", path=CHUNK, nth=3, persist=QUARTER_MIB)
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=3)
    assert session.offset == 5 * QUARTER_MIB
    assert harness.objects() == {}
    goes_on(harness, destination, session)


def test_a_chunk_of_which_nothing_is_kept_is_a_failed_attempt(harness: GcsHarness, destination: Destination) -> None:
    harness.gcs.fault(method="PUT", path=CHUNK, persist=0)
    session = destination.begin(UPLOAD, None)
    with pytest.raises(RetryLater, match="kept none"):
        send(destination, UPLOAD, DATA, session)
    goes_on(harness, destination, session)


@pytest.mark.parametrize("path", ["uploadType=resumable$", CHUNK, "/token"])
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_tried_later_and_only_later(
    harness: GcsHarness, destination: Destination, path: str, status: int
) -> None:
    path = "/upload/.*ifGenerationMatch" if path.startswith("uploadType") else path
    harness.gcs.fault(path=path, status=status, body=google_error("backendError"))
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    refused(harness, raised)
    assert len(harness.gcs.requests(path=path)) == 1, "the SDK's own retries are off"
    goes_on(harness, destination, None)


def test_s44_retry_after_in_seconds_is_passed_on(harness: GcsHarness, destination: Destination) -> None:
    harness.gcs.fault(path=CHUNK, status=429, headers={"Retry-After": "42"}, body=google_error("rateLimitExceeded"))
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    assert raised.value.retry_after == 42.0


def test_s44_retry_after_as_a_date_is_passed_on(harness: GcsHarness, destination: Destination) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    harness.gcs.fault(path=CHUNK, status=429, headers={"Retry-After": moment}, body=google_error("rateLimitExceeded"))
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    assert raised.value.retry_after == pytest.approx(600, abs=60)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("rateLimitExceeded", RetryLater),
        ("userRateLimitExceeded", RetryLater),
        ("quotaExceeded", DestinationPaused),
        ("userProjectAccountProblem", DestinationPaused),
        ("accountDisabled", DestinationPaused),
        ("forbidden", GiveUp),
    ],
)
@pytest.mark.parametrize("path", [CHUNK, "/upload/.*ifGenerationMatch", "/o/M31"])
def test_a_403_is_told_apart_by_its_reason_wherever_it_comes(
    harness: GcsHarness, destination: Destination, reason: str, kind: type[StarferryError], path: str
) -> None:
    harness.gcs.fault(path=path, status=403, headers={"Content-Type": "application/json"}, body=google_error(reason))
    with pytest.raises(kind) as raised:
        attempt(destination)
    refused(harness, raised)


def test_an_expired_token_is_fetched_anew_in_the_middle_of_an_upload(
    harness: GcsHarness, destination: Destination
) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=1)
    harness.gcs.emulator.accounts.expire_tokens()
    verify(UPLOAD, destination.finish(UPLOAD, send(destination, UPLOAD, DATA, session)))
    assert harness.objects() == {PATH: DATA}
    assert len(harness.gcs.requests("POST", "/token")) == 2


@pytest.mark.parametrize("chunks", [0, 1])
def test_s45_a_revoked_key_asks_for_authorization(harness: GcsHarness, destination: Destination, chunks: int) -> None:
    session = None
    if chunks:
        session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=chunks)
    tokens = harness.gcs.emulator.accounts.tokens()
    harness.gcs.emulator.accounts.revoke(EMAIL)
    with pytest.raises(NeedsAuthorization, match="key") as raised:
        deliver(destination, UPLOAD, DATA, session)
    refused(harness, raised)
    assert all(token not in raised_text(raised.value) for token in tokens)


def test_s45_an_upload_that_waited_for_authorization_goes_on_with_the_new_key(harness: GcsHarness) -> None:
    first = harness.open(chunk_size=2 * QUARTER_MIB)
    session = send(first, UPLOAD, DATA, first.begin(UPLOAD, None), most=2)
    harness.gcs.emulator.accounts.revoke(EMAIL)
    harness.info = harness.gcs.emulator.new_account("new@emulated-project.iam.gserviceaccount.com")
    second = harness.open(chunk_size=2 * QUARTER_MIB)
    assert second.begin(UPLOAD, session).offset == 4 * QUARTER_MIB
    goes_on(harness, second, session)


@pytest.mark.parametrize(
    "change",
    [
        {"private_key": "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n"},
        {"private_key": None},
        {"type": "authorized_user"},
    ],
)
def test_a_key_that_cannot_be_read_asks_for_authorization(harness: GcsHarness, change: dict[str, Any]) -> None:
    harness.info = harness.info | change
    with pytest.raises(NeedsAuthorization) as raised:
        deliver(harness.open(), UPLOAD, DATA)
    refused(harness, raised)
    checks = harness.open().test()
    assert [(check.name, check.ok) for check in checks] == [("credentials", False)]
    assert harness.gcs.requests() == []


def test_addresses_in_the_key_are_never_called(harness: GcsHarness) -> None:
    harness.info = harness.info | {
        "token_uri": f"{harness.gcs.url}/stolen",
        "universe_domain": "evil.example",
        "auth_uri": f"{harness.gcs.url}/stolen",
    }
    goes_on(harness, harness.open(), None)
    assert harness.gcs.requests(path="stolen") == []


def test_a_missing_bucket_is_for_good(harness: GcsHarness, destination: Destination) -> None:
    harness.break_destination()
    with pytest.raises(GiveUp, match="bucket does not exist"):
        deliver(destination, UPLOAD, DATA)


def test_an_account_that_may_only_create_is_told_what_it_lacks(harness: GcsHarness, destination: Destination) -> None:
    harness.gcs.emulator.create_bucket(BUCKET, {EMAIL: ["storage.objects.create"]})
    reason = destination.test()[-1].reason
    assert "storage.objects.get, storage.objects.delete" in reason
    assert "Storage Object User" in reason
    assert harness.gcs.requests("PUT") == [], "a probe that can't be removed isn't written"


@pytest.mark.parametrize("status", [200, 400, 403, 404, 502])
@pytest.mark.parametrize("path", [CHUNK, "/upload/.*ifGenerationMatch", "/token"])
def test_a_proxy_s_html_page_is_a_passing_fault(
    harness: GcsHarness, destination: Destination, status: int, path: str
) -> None:
    page = "<html><body>Please log in to the network</body></html>"
    harness.gcs.fault(path=path, status=status, headers={"Content-Type": "text/html"}, body=page)
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    refused(harness, raised)
    goes_on(harness, destination, None)


def test_a_redirect_is_not_followed(harness: GcsHarness, destination: Destination) -> None:
    for path in ("/o/M31", "/upload/.*ifGenerationMatch", CHUNK):
        harness.gcs.fault(path=path, status=307, headers={"Location": f"{harness.gcs.url}/elsewhere"})
    with pytest.raises(RetryLater):
        destination.find(UPLOAD)
    with pytest.raises(RetryLater):
        destination.begin(UPLOAD, None)
    session = destination.begin(UPLOAD, None)
    with pytest.raises(RetryLater):
        send(destination, UPLOAD, DATA, session)
    assert harness.gcs.requests(path="elsewhere") == []


def test_an_upload_address_elsewhere_is_not_used(harness: GcsHarness, destination: Destination) -> None:
    elsewhere = "http://127.0.0.2:9/upload?upload_id=x"
    harness.gcs.fault(path="/upload/.*ifGenerationMatch", status=200, headers={"Location": elsewhere})
    with pytest.raises(RetryLater, match="not its own"):
        destination.begin(UPLOAD, None)
    assert destination.begin(UPLOAD, Session(offset=0, state={"url": elsewhere})).state["url"] != elsewhere


@pytest.mark.parametrize("path", [CHUNK, "/upload/.*ifGenerationMatch", "/token", "/o/M31"])
def test_a_stall_ends_at_the_time_out(harness: GcsHarness, path: str) -> None:
    destination = harness.open(chunk_size=2 * QUARTER_MIB, timeout=0.4)
    harness.gcs.fault(path=path, stall=30.0)
    begun = time.monotonic()
    with pytest.raises(RetryLater) as raised:
        attempt(destination)
    assert time.monotonic() - begun < 25
    refused(harness, raised)


@pytest.mark.parametrize("close", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_connection_closed_at_any_chunk_is_made_good(
    harness: GcsHarness, destination: Destination, close: str, nth: int
) -> None:
    harness.gcs.fault(method="PUT", path=CHUNK, nth=nth, close=close)
    session = destination.begin(UPLOAD, None)
    with pytest.raises(RetryLater) as raised:
        send(destination, UPLOAD, DATA, session)
    refused(harness, raised)
    confirmed = min(2 * QUARTER_MIB * (nth if close == "after" else nth - 1), UPLOAD.size)
    assert destination.begin(UPLOAD, session).offset == confirmed
    goes_on(harness, destination, session)


def test_a_connection_cut_inside_a_chunk_keeps_what_arrived(harness: GcsHarness, destination: Destination) -> None:
    harness.gcs.fault(method="PUT", path=CHUNK, nth=2, cut_body_at=QUARTER_MIB + 1000)
    session = destination.begin(UPLOAD, None)
    with pytest.raises(RetryLater):
        send(destination, UPLOAD, DATA, session)
    assert destination.begin(UPLOAD, session).offset == 3 * QUARTER_MIB
    goes_on(harness, destination, session)


def test_a_lost_reply_to_the_beginning_leaves_no_second_object(harness: GcsHarness, destination: Destination) -> None:
    harness.gcs.fault(path="/upload/.*ifGenerationMatch", close="after")
    with pytest.raises(RetryLater):
        destination.begin(UPLOAD, None)
    verify(UPLOAD, deliver(destination, UPLOAD, DATA))
    assert harness.objects() == {PATH: DATA}


def test_a_412_at_the_beginning_already_settles_it(harness: GcsHarness, destination: Destination) -> None:
    for _ in range(2):
        harness.gcs.fault(path="/upload/.*ifGenerationMatch", status=412, times=2, body=google_error("conditionNotMet"))
    harness.place(PATH, DATA)
    verify(UPLOAD, deliver(destination, UPLOAD, DATA))
    assert harness.gcs.requests("PUT") == [], "no byte is sent"
    harness.place(PATH, b"theirs")
    with pytest.raises(GiveUp):
        destination.begin(UPLOAD, None)


def test_a_410_means_a_lost_upload_too(harness: GcsHarness, destination: Destination) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=1)
    harness.gcs.fault(method="PUT", path=CHUNK, status=410)
    assert destination.begin(UPLOAD, session).offset == 0


def test_nobody_is_called_but_the_storage_and_token_services(harness: GcsHarness, destination: Destination) -> None:
    destination.test()
    goes_on(harness, destination, None)
    found = destination.find(UPLOAD)
    assert found is not None
    destination.remove(found)
    asked = [(one["method"], one["path"].split("?")[0]) for one in harness.gcs.requests()]
    assert {path for _, path in asked if "/storage/v1" not in path} == {"/token"}
    assert harness.gcs.requests(path="projection=noAcl$") == []
    assert harness.gcs.requests("GET", rf"/b/{BUCKET}(\?|$)") == []


def test_the_account_s_regional_boundary_is_not_looked_up(
    harness: GcsHarness, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up runs in a thread against a fixed address, so its start is what can be watched."""
    asked: list[str] = []
    manager = _regional_access_boundary_utils._RegionalAccessBoundaryManager
    monkeypatch.setattr(manager, "maybe_start_refresh", lambda *_: asked.append("look-up"))
    stock = service_account.Credentials.from_service_account_info(
        harness.info | {"token_uri": f"{harness.gcs.url}/token"}, scopes=[SCOPE]
    )
    session = AuthorizedSession(stock)
    session.get(harness.gcs.url, timeout=5)
    session.close()
    assert asked == ["look-up"], "the SDK's way of doing it has changed: see that it is still off"
    asked.clear()
    goes_on(harness, destination, None)
    assert asked == []


@pytest.mark.parametrize(
    "endpoint",
    ["http://storage.example:80", "http://10.0.0.1", "http://127.0.0.1.evil.example", "file:///etc", "http://[::]/"],
)
def test_only_this_machine_may_stand_in_for_google(harness: GcsHarness, endpoint: str) -> None:
    with pytest.raises(Misconfigured, match="STARFERRY_GCS_URL"):
        GcsDestination(BUCKET, harness.info, endpoint)


def test_a_chunk_size_that_google_would_refuse_is_refused_here(harness: GcsHarness) -> None:
    with pytest.raises(Misconfigured, match="256 KiB"):
        GcsDestination(BUCKET, harness.info, harness.gcs.url, chunk_size=100_000)


def test_s31_a_session_in_the_bucket_of_before_is_dropped(harness: GcsHarness) -> None:
    """The configuration was given another bucket in the middle of an upload."""
    before = harness.open(chunk_size=2 * QUARTER_MIB)
    half = send(before, UPLOAD, DATA, before.begin(UPLOAD, None), most=1)
    harness.gcs.emulator.create_bucket("another")
    after = GcsDestination("another", harness.info, harness.gcs.url, 2 * QUARTER_MIB)
    try:
        resumed = after.begin(UPLOAD, half)
        assert resumed.offset == 0
        arrived = after.finish(UPLOAD, send(after, UPLOAD, DATA, resumed))
        assert after.look(UPLOAD, arrived.remote_id) == as_found(arrived)
    finally:
        after.close()
    assert (harness.objects(), harness.unfinished()) == ({}, 0)


def test_what_was_deleted_after_an_attempt_of_which_we_did_not_hear_is_delivered_anew(harness: GcsHarness) -> None:
    """The upload's address goes on telling of the object."""
    destination = harness.open(chunk_size=2 * QUARTER_MIB)
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=len(DATA) // destination.chunk_size)
    with harness.losing_commit_reply(), pytest.raises(RetryLater):
        send(destination, UPLOAD, DATA, session)
    found = destination.find(UPLOAD)
    assert found is not None
    destination.remove(found)
    other = harness.open(chunk_size=2 * QUARTER_MIB)
    arrived = deliver(other, UPLOAD, DATA, resume=session)
    assert arrived.remote_id != found.remote_id
    assert harness.objects() == {UPLOAD.path: DATA}
