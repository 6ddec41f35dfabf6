"""Dropbox's faults, each from the wire up: what the destination makes of them, and that it goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.destinations.dropbox import DropboxDestination
from adapters.destinations.dropbox_account import DropboxAccount
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
from tests.contract.destination_harness import content, deliver, raised_text, send, upload_of
from tests.contract.dropbox_harness import APP, SECRET, DropboxHarness

PATH = "/M31/image_001.fits"
QUARTER_MIB = 256 * 1024
DATA = content(5 * QUARTER_MIB + 9)
UPLOAD = upload_of(DATA, PATH)
SMALL = content(1000)
APPEND, FINISH, WHOLE, TOKEN = "append_v2", "upload_session/finish", "files/upload$", "/oauth2/token"


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[DropboxHarness]:
    made = DropboxHarness(tmp_path)
    yield made
    made.close()


@pytest.fixture
def destination(harness: DropboxHarness) -> Destination:
    return harness.open(chunk_size=2 * QUARTER_MIB)


def goes_on(harness: DropboxHarness, destination: Destination, session: Session | None = None) -> None:
    """The next attempt delivers exactly one object."""
    verify(UPLOAD, deliver(destination, UPLOAD, DATA, session))
    assert harness.objects() == {PATH: DATA}


def refused(harness: DropboxHarness, error: pytest.ExceptionInfo[Any]) -> str:
    """The error's text, checked for secrets."""
    text = raised_text(error.value)
    assert [one for one in harness.secrets() if one in text] == []
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return str(error.value)


def summary(*tags: str, **fields: Any) -> str:
    return json.dumps({"error_summary": "/".join(tags), "error": {".tag": tags[0], **fields}})


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("path", [APPEND, FINISH, "upload_session/start", "get_metadata", TOKEN])
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_tried_later_and_only_later(
    harness: DropboxHarness, destination: Destination, path: str, status: int
) -> None:
    harness.dropbox.fault(path=path, status=status, body="Internal error")
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    refused(harness, raised)
    assert len([one for one in harness.dropbox.requests(path=path) if one["fault"]]) == 1
    goes_on(harness, destination)


@pytest.mark.parametrize("path", [APPEND, FINISH, TOKEN])
@pytest.mark.parametrize("close", ["before", "after"])
def test_a_cut_connection_is_tried_later(
    harness: DropboxHarness, destination: Destination, path: str, close: str
) -> None:
    harness.dropbox.fault(path=path, close=close)
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    refused(harness, raised)
    goes_on(harness, destination)


def test_s44_a_rate_limit_waits_as_long_as_dropbox_says(harness: DropboxHarness, destination: Destination) -> None:
    body = summary("reason", reason={".tag": "too_many_requests"}, retry_after=17)
    harness.dropbox.fault(path=APPEND, status=429, headers={**JSON, "Retry-After": "17"}, body=body)
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    assert raised.value.retry_after == 17
    assert len(harness.dropbox.requests(path=APPEND)) == 1, "the SDK doesn't wait in the worker"
    goes_on(harness, destination)


def test_the_token_services_rate_limit_may_be_a_date(harness: DropboxHarness, destination: Destination) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    harness.dropbox.fault(path=TOKEN, status=429, headers={"Retry-After": at}, body="{}")
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    assert raised.value.retry_after is not None
    assert 60 < raised.value.retry_after <= 90


JUNK: list[dict[str, Any]] = [
    {"status": 400, "headers": {"Content-Type": "text/html"}, "body": "<html><h1>Bad request</h1></html>"},
    {"status": 401, "headers": {"Content-Type": "application/json; charset=utf-8"}, "body": "{}"},
    {"status": 403, "headers": {"Content-Type": "text/html"}, "body": "<h1>Forbidden by the proxy</h1>"},
    {"status": 404, "headers": {"Content-Type": "text/html"}, "body": "<h1>Not found</h1>"},
    {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<h1>Please log in</h1>"},
    {"status": 429, "headers": {"Content-Type": "text/html", "Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}},
    {"status": 502, "headers": {"Content-Type": "text/html"}, "body": "<h1>Bad gateway</h1>"},
]


@pytest.mark.parametrize("path", [APPEND, "get_metadata", TOKEN])
@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: str(junk["status"]))
def test_junk_from_a_proxy_is_tried_later(
    harness: DropboxHarness, destination: Destination, path: str, junk: dict[str, Any]
) -> None:
    harness.dropbox.fault(path=path, **junk)
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    refused(harness, raised)
    goes_on(harness, destination)


def test_an_expired_token_is_renewed_in_passing(harness: DropboxHarness, destination: Destination) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=1)
    harness.dropbox.emulator.accounts.expire_tokens()
    verify(UPLOAD, destination.finish(UPLOAD, send(destination, UPLOAD, DATA, session)))
    assert len(harness.dropbox.requests(path=TOKEN)) == 2


def test_s45_a_revoked_authorization_must_be_given_again(harness: DropboxHarness, destination: Destination) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=1)
    harness.break_credentials()
    with pytest.raises(NeedsAuthorization, match="authorize again") as raised:
        send(destination, UPLOAD, DATA, session)
    refused(harness, raised)
    with pytest.raises(NeedsAuthorization, match="authorize again"):
        deliver(harness.open(), UPLOAD, DATA)


def test_a_wrong_app_secret_says_so(harness: DropboxHarness) -> None:
    account = DropboxAccount(APP, "wrong", harness.refresh_token, harness.dropbox.url)
    with pytest.raises(NeedsAuthorization, match="key or secret") as raised:
        deliver(DropboxDestination(account), UPLOAD, DATA)
    assert "wrong" not in raised_text(raised.value)


def test_an_account_that_was_never_authorized_says_so(harness: DropboxHarness) -> None:
    account = DropboxAccount(APP, SECRET, "", harness.dropbox.url)
    with pytest.raises(NeedsAuthorization, match="hasn't been authorized"):
        deliver(DropboxDestination(account), UPLOAD, DATA)
    assert harness.dropbox.requests() == []


def test_s23_eight_transfers_that_begin_at_once_fetch_one_token(harness: DropboxHarness) -> None:
    account = DropboxAccount(APP, SECRET, harness.refresh_token, harness.dropbox.url)
    together = threading.Barrier(8)

    def carry(number: int) -> None:
        together.wait()
        upload = upload_of(SMALL, f"/f{number}.fits")
        verify(upload, deliver(DropboxDestination(account), upload, SMALL))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(carry, range(8)))
    assert len(harness.dropbox.requests(path=TOKEN)) == 1
    assert len(harness.objects()) == 8
    account.close()


def test_s46_a_full_dropbox_pauses_the_destination(harness: DropboxHarness, destination: Destination) -> None:
    harness.dropbox.emulator.store.run("UPDATE accounts SET quota = ?", len(DATA) - 1)
    for upload, data in ((UPLOAD, DATA), (upload_of(SMALL, "/x/small.fits"), SMALL)):
        harness.dropbox.emulator.store.run("UPDATE accounts SET quota = ?", len(data) - 1)
        with pytest.raises(DestinationPaused, match="full") as raised:
            deliver(destination, upload, data)
        refused(harness, raised)
    assert harness.objects() == {}
    harness.dropbox.emulator.store.run("UPDATE accounts SET quota = ?", 1 << 30)
    goes_on(harness, destination)


@pytest.mark.parametrize("persist", [0, 5, QUARTER_MIB])
def test_after_a_chunk_that_was_kept_in_part_the_rest_is_sent_again(
    harness: DropboxHarness, destination: Destination, persist: int
) -> None:
    session = destination.begin(UPLOAD, None)
    harness.dropbox.fault(path=APPEND, persist=persist)
    session = send(destination, UPLOAD, DATA, session, most=1)
    verify(UPLOAD, destination.finish(UPLOAD, send(destination, UPLOAD, DATA, session)))
    assert harness.objects() == {PATH: DATA}


def test_a_chunk_whose_reply_was_lost_isnt_sent_twice(harness: DropboxHarness, destination: Destination) -> None:
    session = destination.begin(UPLOAD, None)
    harness.dropbox.fault(path=APPEND, close="after")
    with pytest.raises(RetryLater):
        send(destination, UPLOAD, DATA, session)
    resumed = harness.open(2 * QUARTER_MIB).begin(UPLOAD, session)
    assert resumed.offset == 2 * QUARTER_MIB
    goes_on(harness, destination, resumed)


def test_a_body_that_is_cut_off_leaves_the_session_where_it_was(
    harness: DropboxHarness, destination: Destination
) -> None:
    session = destination.begin(UPLOAD, None)
    harness.dropbox.fault(path=APPEND, cut_body_at=1000)
    with pytest.raises(RetryLater):
        send(destination, UPLOAD, DATA, session)
    assert destination.begin(UPLOAD, session).offset == 0
    goes_on(harness, destination, session)


def test_a_silent_server_is_given_up_on_after_the_timeout(harness: DropboxHarness) -> None:
    destination = harness.open(chunk_size=2 * QUARTER_MIB, timeout=0.3)
    harness.dropbox.fault(path=APPEND, stall=20)
    with pytest.raises(RetryLater, match=r"in time|could not be reached"):
        deliver(destination, UPLOAD, DATA)


@pytest.mark.parametrize("data", [DATA, SMALL], ids=["session", "one call"])
def test_too_many_writes_at_once_is_tried_later(harness: DropboxHarness, destination: Destination, data: bytes) -> None:
    upload = upload_of(data, PATH)
    reason = {".tag": "too_many_write_operations"}
    body = summary("path", path=reason) if data is DATA else summary("path", reason=reason, upload_session_id="x")
    harness.dropbox.fault(path=f"{FINISH}|{WHOLE}", status=409, headers=JSON, body=body)
    with pytest.raises(RetryLater):
        deliver(destination, upload, data)
    verify(upload, deliver(destination, upload, data))


@pytest.mark.parametrize("path", ["/a/desktop.ini", "/a /x.fits", "/a\\b/x.fits"])
def test_a_path_that_dropbox_doesnt_allow_is_final(
    harness: DropboxHarness, destination: Destination, path: str
) -> None:
    with pytest.raises(GiveUp, match="path"):
        deliver(destination, upload_of(SMALL, path), SMALL)


def test_a_folder_in_the_files_place_is_left_alone(harness: DropboxHarness, destination: Destination) -> None:
    harness.place(f"{PATH}/inner.fits", b"theirs")
    for data in (SMALL, DATA):
        with pytest.raises(GiveUp, match="folder"):
            deliver(destination, upload_of(data, PATH), data)
    assert harness.objects() == {f"{PATH}/inner.fits": b"theirs"}


def test_names_that_differ_in_case_alone_are_the_same_file(harness: DropboxHarness, destination: Destination) -> None:
    harness.place(PATH.upper(), b"theirs")
    with pytest.raises(GiveUp):
        deliver(destination, UPLOAD, DATA)
    assert list(harness.objects()) == [PATH.upper()]


def test_a_session_that_dropbox_has_closed_begins_anew(harness: DropboxHarness, destination: Destination) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=1)
    destination.abandon(UPLOAD, session)
    begun = destination.begin(UPLOAD, session)
    assert (begun.offset, begun.state != session.state) == (0, True)
    goes_on(harness, destination, begun)


def test_s01_small_files_take_one_call_and_large_ones_one_a_chunk(harness: DropboxHarness) -> None:
    destination = harness.open(chunk_size=QUARTER_MIB)
    deliver(destination, upload_of(SMALL, "/small.fits"), SMALL)
    assert len(harness.dropbox.requests(path="/2/")) == 1
    deliver(destination, UPLOAD, DATA)
    assert len(harness.dropbox.requests(path=APPEND)) == 6
    assert [one["body_bytes"] for one in harness.dropbox.requests(path=APPEND)][:5] == [QUARTER_MIB] * 5


def test_a_reply_that_cant_be_classified_passes(harness: DropboxHarness, destination: Destination) -> None:
    harness.dropbox.fault(path=WHOLE, status=409, headers=JSON, body=summary("a_new_tag"))
    with pytest.raises(StarferryError) as raised:
        deliver(destination, upload_of(SMALL, PATH), SMALL)
    assert isinstance(raised.value, RetryLater)


@pytest.mark.parametrize("size", [0, -1, (150 << 20) + 1])
def test_a_chunk_size_that_dropbox_wouldnt_take_is_refused(harness: DropboxHarness, size: int) -> None:
    with pytest.raises(Misconfigured):
        harness.open(chunk_size=size)


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        ("insufficient_space", DestinationPaused),
        ("team_folder_insufficient_space", DestinationPaused),
        ("member_folder_insufficient_space", DestinationPaused),
        ("upload_traffic_limit_reached", DestinationPaused),
        ("access_restricted", GiveUp),
        ("operation_suppressed", GiveUp),
        ("no_write_permission", GiveUp),
        ("disallowed_name", GiveUp),
        ("too_many_write_operations", RetryLater),
    ],
)
def test_each_refusal_to_write_is_classed_by_what_to_do_next(
    harness: DropboxHarness, destination: Destination, tag: str, kind: type[StarferryError]
) -> None:
    body = summary("path", path={".tag": tag})
    harness.dropbox.fault(path="upload_session/finish", status=409, headers=JSON, body=body)
    with pytest.raises(kind) as raised:
        deliver(destination, UPLOAD, DATA)
    assert type(raised.value) is kind


def test_a_file_where_a_folder_is_needed_is_told_and_nothing_is_sent_again(harness: DropboxHarness) -> None:
    destination = harness.open()
    harness.place("/M31", b"a file")
    for data in (SMALL, DATA):
        with pytest.raises(GiveUp, match="should be a folder"):
            deliver(destination, upload_of(data, PATH), data)
    assert harness.objects() == {"/M31": b"a file"}


def test_the_file_follows_no_redirect(harness: DropboxHarness, destination: Destination) -> None:
    away = {"Location": "https://elsewhere.example.org/"}
    fault = harness.dropbox.fault(path=APPEND, status=307, headers=away)
    with pytest.raises(RetryLater):
        deliver(destination, UPLOAD, DATA)
    assert fault.seen == 1
    goes_on(harness, destination)
