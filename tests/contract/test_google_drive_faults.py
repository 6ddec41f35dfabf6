"""Google Drive's faults, each from the wire up: what the destination makes of them, and that it goes on."""

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
from psycopg_pool import ConnectionPool

from adapters.destinations import google_drive_names
from adapters.destinations.folder_ids import FolderIds, MemoryFolderIds, PostgresFolderIds
from adapters.destinations.google_drive import DriveDestination
from adapters.destinations.hash_match import verify
from application.ports.destination import Destination, Session, Upload
from domain.errors import DestinationPaused, GiveUp, Misconfigured, NeedsAuthorization, RetryLater
from tests.contract.destination_harness import as_found, content, deliver, raised_text, send, upload_of
from tests.contract.google_drive_harness import EMAIL, DriveHarness
from tests.emulators.faults import Fault
from tests.emulators.google_drive_store import FOLDER

PATH = "/M31/image_001.fits"
QUARTER_MIB = 256 * 1024
DATA = content(5 * QUARTER_MIB + 9)
UPLOAD = upload_of(DATA, PATH)
SMALL = content(1000)
SMALL_UPLOAD = upload_of(SMALL, PATH)
CHUNK, START, WHOLE, TOKEN = "upload_id", "uploadType=resumable&supports", "uploadType=multipart", "/token"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[DriveHarness]:
    made = DriveHarness(tmp_path)
    yield made
    made.close()


@pytest.fixture
def destination(harness: DriveHarness) -> Destination:
    return harness.open(chunk_size=2 * QUARTER_MIB)


def google_error(reason: str, message: str = "see reason") -> str:
    return json.dumps({"error": {"message": message, "errors": [{"reason": reason, "message": message}]}})


def goes_on(harness: DriveHarness, destination: Destination, session: Session | None = None) -> None:
    """The next attempt delivers exactly one object."""
    verify(UPLOAD, deliver(destination, UPLOAD, DATA, session))
    assert harness.objects() == {PATH: DATA}


def refused(harness: DriveHarness, error: pytest.ExceptionInfo[Any]) -> str:
    """The error's text, checked for secrets."""
    text = raised_text(error.value)
    assert [one for one in harness.secrets() if one in text] == []
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return str(error.value)


@pytest.mark.parametrize("path", [CHUNK, START, "generateIds", r"files\?q=", TOKEN])
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_tried_later_and_only_later(
    harness: DriveHarness, destination: Destination, path: str, status: int
) -> None:
    harness.drive.fault(path=path, status=status, headers=JSON, body=google_error("backendError"))
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    refused(harness, raised)
    assert len([one for one in harness.drive.requests(path=path) if one["fault"]]) == 1
    goes_on(harness, destination)


@pytest.mark.parametrize("path", [CHUNK, START, TOKEN])
@pytest.mark.parametrize("close", ["before", "after"])
def test_a_cut_connection_is_tried_later(
    harness: DriveHarness, destination: Destination, path: str, close: str
) -> None:
    harness.drive.fault(path=path, close=close)
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    refused(harness, raised)
    goes_on(harness, destination)


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "userRateLimitExceeded"])
@pytest.mark.parametrize("status", [403, 429])
def test_s44_a_rate_limit_waits_as_long_as_drive_says(
    harness: DriveHarness, destination: Destination, reason: str, status: int
) -> None:
    headers = {**JSON, "Retry-After": "17"}
    harness.drive.fault(path=CHUNK, status=status, headers=headers, body=google_error(reason))
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    assert raised.value.retry_after == 17
    goes_on(harness, destination)


def test_retry_after_may_be_a_date(harness: DriveHarness, destination: Destination) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    harness.drive.fault(path=CHUNK, status=503, headers={"Retry-After": at}, body="busy")
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    assert raised.value.retry_after is not None
    assert 60 < raised.value.retry_after <= 90


JUNK: list[dict[str, Any]] = [
    {"status": 403, "headers": {"Content-Type": "text/html"}, "body": "<h1>Forbidden by the proxy</h1>"},
    {"status": 404, "headers": {"Content-Type": "text/html"}, "body": "<h1>Not found</h1>"},
    {"status": 409, "headers": {"Content-Type": "text/html"}, "body": "<h1>Conflict</h1>"},
    {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<h1>Please log in</h1>"},
    {"status": 302, "headers": {"Location": "http://127.0.0.1:9/login"}},
    {"status": 502, "headers": {"Content-Type": "text/html"}, "body": "<h1>Bad gateway</h1>"},
]


@pytest.mark.parametrize("path", [START, "generateIds", r"files\?q=", TOKEN])
@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: str(junk["status"]))
def test_junk_from_a_proxy_is_tried_later(
    harness: DriveHarness, destination: Destination, path: str, junk: dict[str, Any]
) -> None:
    harness.drive.fault(path=path, **junk)
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    refused(harness, raised)
    goes_on(harness, destination)


def test_an_expired_token_is_renewed_in_passing(harness: DriveHarness, destination: Destination) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=1)
    harness.drive.emulator.accounts.expire_tokens()
    verify(UPLOAD, destination.finish(UPLOAD, send(destination, UPLOAD, DATA, session)))
    assert len(harness.drive.requests(path=TOKEN)) == 2
    assert harness.objects() == {PATH: DATA}


def test_s45_a_revoked_authorization_must_be_given_again(harness: DriveHarness, destination: Destination) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=1)
    harness.break_credentials()
    with pytest.raises(NeedsAuthorization, match="authorize again") as raised:
        send(destination, UPLOAD, DATA, session)
    refused(harness, raised)


def test_a_wrong_client_secret_says_so(harness: DriveHarness) -> None:
    account = harness.new_account(secret="wrong")
    with pytest.raises(NeedsAuthorization, match="key or secret"):
        deliver(DriveDestination(account, MemoryFolderIds(), "cfg-1"), UPLOAD, DATA)


def test_s46_a_full_drive_pauses_the_destination(harness: DriveHarness, destination: Destination) -> None:
    for upload, data in ((UPLOAD, DATA), (SMALL_UPLOAD, SMALL)):
        harness.drive.emulator.store.run("UPDATE accounts SET quota = ?", len(data) - 1)
        with pytest.raises(DestinationPaused, match="full") as raised:
            deliver(destination, upload, data)
        refused(harness, raised)
    assert harness.objects() == {}
    harness.drive.emulator.store.run("UPDATE accounts SET quota = ?", 1 << 30)
    goes_on(harness, destination)


def test_s46_a_daily_limit_pauses_until_midnight_utc(harness: DriveHarness, destination: Destination) -> None:
    harness.drive.fault(path=CHUNK, status=403, headers=JSON, body=google_error("dailyLimitExceeded"))
    with pytest.raises(DestinationPaused) as raised:
        deliver(destination, UPLOAD, DATA)
    assert 0 < raised.value.probe_after <= 86_400


def test_a_folder_that_isnt_ours_to_write_to_is_final(harness: DriveHarness, destination: Destination) -> None:
    harness.drive.fault(path=START, status=403, headers=JSON, body=google_error("insufficientFilePermissions"))
    with pytest.raises(GiveUp, match="permission"):
        deliver(destination, UPLOAD, DATA)


@pytest.mark.parametrize("persist", [QUARTER_MIB, QUARTER_MIB + 5])
def test_after_a_partial_persist_the_missing_bytes_are_sent_again(
    harness: DriveHarness, destination: Destination, persist: int
) -> None:
    harness.drive.fault(method="PUT", path=CHUNK, persist=persist)
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=1)
    assert session.offset == QUARTER_MIB
    verify(UPLOAD, destination.finish(UPLOAD, send(destination, UPLOAD, DATA, session)))
    assert harness.objects() == {PATH: DATA}


def test_a_chunk_of_which_nothing_is_kept_is_a_failed_attempt(harness: DriveHarness, destination: Destination) -> None:
    harness.drive.fault(method="PUT", path=CHUNK, persist=0)
    session = destination.begin(UPLOAD, None)
    with pytest.raises(RetryLater, match="kept none"):
        send(destination, UPLOAD, DATA, session)
    goes_on(harness, destination, session)


def test_a_silent_server_is_given_up_on_after_the_timeout(harness: DriveHarness) -> None:
    destination = harness.open(chunk_size=2 * QUARTER_MIB, timeout=0.3)
    harness.drive.fault(path=CHUNK, stall=20)
    with pytest.raises(RetryLater, match=r"in time|could not be reached"):
        deliver(destination, UPLOAD, DATA)


@pytest.mark.parametrize(("upload", "data"), [(SMALL_UPLOAD, SMALL), (UPLOAD, DATA)], ids=["one call", "resumable"])
def test_a_file_that_was_made_without_our_hearing_of_it_is_found_by_its_id(
    harness: DriveHarness, upload: Any, data: bytes
) -> None:
    """Also while the listing lags: by its name it can't be found yet."""
    destination = harness.open(chunk_size=2 * QUARTER_MIB)
    assert destination.keeps_session
    session = destination.begin(upload, None)
    harness.drive.fault(path=WHOLE if data is SMALL else CHUNK, nth=1 if data is SMALL else 3, close="after")
    with pytest.raises(RetryLater):
        send(destination, upload, data, session)
    harness.drive.fault(path=r"files\?q=.*mimeType\+%21", times=0, status=200, headers=JSON, body='{"files": []}')
    other = harness.open(chunk_size=2 * QUARTER_MIB)
    arrived = deliver(other, upload, data, session)
    assert arrived.remote_id == session.state["id"]
    assert harness.objects() == {PATH: data}


@pytest.mark.parametrize("shared", ["postgres", "memory"])
def test_eight_workers_that_need_the_same_new_folders_make_them_once(
    harness: DriveHarness, database: str, shared: str
) -> None:
    together = threading.Barrier(8)
    with ConnectionPool(database, min_size=8, max_size=8) as pool:
        folder_ids: FolderIds = PostgresFolderIds(pool) if shared == "postgres" else MemoryFolderIds()

        def carry(number: int) -> None:
            account = harness.new_account()
            upload = upload_of(SMALL, f"/fits-data/M31/night 1/f{number}.fits", f"transfer-{number}")
            destination = DriveDestination(account, folder_ids, "cfg-1")
            together.wait()
            verify(upload, deliver(destination, upload, SMALL))

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(carry, range(8)))
    folders = harness.drive.emulator.store.search(EMAIL, "mime = ?", FOLDER)
    assert sorted(folder.name for folder in folders) == ["M31", "fits-data", "night 1"]
    assert len(harness.objects()) == 8


def test_a_folder_in_the_trash_is_made_anew(harness: DriveHarness, destination: Destination) -> None:
    deliver(destination, upload_of(SMALL, "/M31/first.fits", "transfer-0"), SMALL)
    store = harness.drive.emulator.store
    (folder,) = store.search(EMAIL, "mime = ?", FOLDER)
    store.run("UPDATE files SET trashed = 1")
    arrived = deliver(harness.open(), SMALL_UPLOAD, SMALL)
    (fresh,) = store.search(EMAIL, "mime = ? AND NOT trashed", FOLDER)
    file = store.file(EMAIL, arrived.remote_id)
    assert file is not None
    assert file.parent == fresh.id != folder.id


def test_a_folder_within_one_in_the_trash_is_made_anew_too(harness: DriveHarness, destination: Destination) -> None:
    deliver(destination, upload_of(SMALL, "/night/M31/first.fits", "transfer-0"), SMALL)
    store = harness.drive.emulator.store
    (above,) = store.search(EMAIL, "name = ?", "night")
    store.trash(above.id, 1)
    arrived = deliver(harness.open(), upload_of(SMALL, "/night/M31/second.fits", "transfer-1"), SMALL)
    fresh = {folder.name: folder for folder in store.search(EMAIL, "mime = ? AND NOT trashed", FOLDER)}
    file = store.file(EMAIL, arrived.remote_id)
    assert file is not None
    assert (file.parent, file.trashed) == (fresh["M31"].id, False)
    assert fresh["M31"].parent == fresh["night"].id != above.id


def test_a_folder_that_the_owner_made_is_used(harness: DriveHarness, destination: Destination) -> None:
    harness.place("/M31/theirs.fits", b"theirs")
    deliver(destination, SMALL_UPLOAD, SMALL)
    assert len(harness.drive.emulator.store.search(EMAIL, "mime = ?", FOLDER)) == 1
    assert harness.objects() == {PATH: SMALL, "/M31/theirs.fits": b"theirs"}


def test_of_two_files_with_the_name_the_equal_one_counts(harness: DriveHarness, destination: Destination) -> None:
    harness.place(PATH, b"theirs")
    store = harness.drive.emulator.store
    (theirs,) = store.search(EMAIL, "name = ?", "image_001.fits")
    ours = store.put(EMAIL, {"name": "image_001.fits", "parents": [theirs.parent]}, store.new_blob(DATA), len(DATA))
    session = destination.begin(UPLOAD, None)
    assert destination.finish(UPLOAD, session).remote_id == ours.id
    again = harness.open()
    assert again.finish(UPLOAD, again.begin(UPLOAD, session)).remote_id == ours.id, "an interrupted attempt, too"
    assert len(store.search(EMAIL, "name = ?", "image_001.fits")) == 2, "neither is removed"


@pytest.mark.parametrize("data", [b"x", DATA], ids=["another", "an equal one"])
def test_s51_a_file_that_came_after_ours_leaves_ours_where_it_is(
    harness: DriveHarness, destination: Destination, data: bytes
) -> None:
    """Whoever comes later makes way: were it the first, of two that look at the same time none would stay."""
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None))
    store = harness.drive.emulator.store
    (ours,) = store.search(EMAIL, "name = ?", "image_001.fits")
    theirs = store.put(EMAIL, {"name": "image_001.fits", "parents": [ours.parent]}, store.new_blob(data), len(data))
    again = harness.open()
    arrived = again.finish(UPLOAD, again.begin(UPLOAD, session))
    assert (arrived.remote_id, arrived.made) == (ours.id, True)
    assert {one.id for one in store.search(EMAIL, "name = ?", "image_001.fits")} == {ours.id, theirs.id}


def test_s51_of_two_of_ours_that_came_at_the_same_time_the_older_one_stays(harness: DriveHarness) -> None:
    """As of two destinations with one Drive and one path."""
    one, other = harness.open(), harness.open()
    first, second = one.begin(UPLOAD, None), other.begin(UPLOAD, None)
    first, second = send(one, UPLOAD, DATA, first), send(other, UPLOAD, DATA, second)
    later, earlier = other.finish(UPLOAD, second), one.finish(UPLOAD, first)
    assert later.remote_id == earlier.remote_id
    assert (later.made, earlier.made) == (False, True)
    assert harness.objects() == {UPLOAD.path: DATA}


@pytest.mark.parametrize(("upload", "data"), [(SMALL_UPLOAD, SMALL), (UPLOAD, DATA)], ids=["one call", "resumable"])
def test_what_its_owner_put_into_the_bin_is_delivered_anew(
    harness: DriveHarness, destination: Destination, upload: Upload, data: bytes
) -> None:
    session = send(destination, upload, data, destination.begin(upload, None), most=len(data) // destination.chunk_size)
    with harness.losing_commit_reply(), pytest.raises(RetryLater):
        send(destination, upload, data, session)
    store = harness.drive.emulator.store
    (binned,) = store.search(EMAIL, "name = ?", upload.path.rpartition("/")[2])
    store.trash(binned.id, 1)
    arrived = deliver(harness.open(), upload, data, resume=session)
    assert arrived.remote_id != binned.id
    (there,) = store.search(EMAIL, "trashed = 0 AND name = ?", upload.path.rpartition("/")[2])
    assert there.id == arrived.remote_id


@pytest.mark.parametrize("found", [True, False])
def test_a_file_that_its_owner_has_changed_is_not_removed(harness: DriveHarness, found: bool) -> None:
    destination = harness.open()
    if found:
        harness.place(UPLOAD.path, DATA)
        session = destination.begin(UPLOAD, None)
    else:
        session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None))
    store = harness.drive.emulator.store
    (file,) = store.search(EMAIL, "name = ?", "image_001.fits")
    store.run("UPDATE files SET size = 1, sha256 = 'theirs', md5 = 'theirs' WHERE id = ?", file.id)
    with pytest.raises(GiveUp, match="left as it is"):
        harness.open().finish(UPLOAD, session)
    assert [one.id for one in store.search(EMAIL, "name = ?", "image_001.fits")] == [file.id]


def test_s28_what_another_account_has_reserved_and_made_is_of_no_use_to_this_one(harness: DriveHarness) -> None:
    """The configuration was authorized again, with another account, in the middle of an upload."""
    before, small = harness.open(), upload_of(SMALL, "/M31/small.fits", "transfer-2")
    half = send(before, UPLOAD, DATA, before.begin(UPLOAD, None), most=1)
    reserved = before.begin(small, None)
    harness.authorize("ben@example.org")
    after = harness.open()
    arrived = deliver(after, UPLOAD, DATA, resume=half)
    deliver(after, small, SMALL, resume=reserved)
    assert after.look(UPLOAD, arrived.remote_id) == as_found(arrived)
    bens = {one.name for one in harness.drive.emulator.store.search("ben@example.org", "mime != ?", FOLDER)}
    assert bens == {upload.path.rpartition("/")[2] for upload in (UPLOAD, small)}


def test_a_folder_that_was_deleted_for_good_is_made_anew(harness: DriveHarness) -> None:
    """Its id can't be used again."""
    deliver(harness.open(), SMALL_UPLOAD, SMALL)
    store = harness.drive.emulator.store
    for folder in store.search(EMAIL, "mime = ?", FOLDER):
        store.delete(EMAIL, folder)
    deliver(harness.open(), UPLOAD, DATA)
    assert harness.objects()[UPLOAD.path] == DATA


def test_s02_small_files_take_one_upload_call_and_large_ones_one_a_chunk(harness: DriveHarness) -> None:
    destination = harness.open(chunk_size=QUARTER_MIB)
    deliver(destination, upload_of(SMALL, "/a/small.fits", "transfer-0"), SMALL)
    assert len(harness.drive.requests(path="/upload/")) == 1
    deliver(destination, upload_of(DATA, "/a/large.fits"), DATA)
    assert len(harness.drive.requests("PUT", path=CHUNK)) == 6
    assert len(harness.drive.requests(path="generateIds")) == 1, "a hundred ids at a time"


@pytest.mark.parametrize("size", [0, -QUARTER_MIB, QUARTER_MIB + 1])
def test_a_chunk_size_that_drive_wouldnt_take_is_refused(harness: DriveHarness, size: int) -> None:
    with pytest.raises(Misconfigured):
        harness.open(chunk_size=size)


def test_s60_a_copy_in_the_trash_is_missing_and_one_that_was_moved_is_not(
    harness: DriveHarness, destination: Destination
) -> None:
    upload = upload_of(b"SIMPLE", PATH)
    arrived = deliver(destination, upload, b"SIMPLE")
    store = harness.drive.emulator.store
    store.run("UPDATE files SET parent = 'root', name = 'mine.fits' WHERE id = ?", arrived.remote_id)
    assert destination.look(upload, arrived.remote_id) == as_found(arrived)
    store.run("UPDATE files SET trashed = 1 WHERE id = ?", arrived.remote_id)
    assert destination.look(upload, arrived.remote_id) is None


NAMES = r"files\?q=.*name.*mimeType\+%21%3D"
"""Questions for files, not for folders."""
THREE = [upload_of(SMALL, f"/M31/image_{number}.fits", f"transfer-{number}") for number in range(3)]


def asked(harness: DriveHarness) -> int:
    return len(harness.drive.requests("GET", NAMES))


def test_the_names_of_several_are_asked_for_at_once(
    harness: DriveHarness, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google_drive_names, "FRESH_SECONDS", 3600.0)
    deliver(destination, SMALL_UPLOAD, SMALL)  # makes the folder
    before = asked(harness)
    destination.expect(THREE)
    assert asked(harness) == before + 1
    for upload in THREE:
        deliver(destination, upload, SMALL)
    assert asked(harness) == before + 1
    assert len(harness.objects()) == 4


def test_what_was_asked_too_long_ago_is_asked_again_and_ours_makes_way_for_what_came_meanwhile(
    harness: DriveHarness, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google_drive_names, "FRESH_SECONDS", -1.0)
    destination.expect(THREE)
    harness.place(THREE[0].path, b"somebody else's")
    with pytest.raises(GiveUp):
        destination.begin(THREE[0], None)
    session = destination.begin(THREE[1], None)
    harness.place(THREE[1].path, b"somebody else's")
    with pytest.raises(GiveUp):
        destination.finish(THREE[1], send(destination, THREE[1], SMALL, session))
    assert harness.objects() == {upload.path: b"somebody else's" for upload in THREE[:2]}


@pytest.mark.parametrize(
    "answer",
    [
        Fault(path=NAMES, status=500),
        Fault(path=NAMES, close="before"),
        Fault(path=NAMES, status=200, headers=JSON, body='{"files": [], "nextPageToken": "more"}'),
        Fault(path=NAMES, status=200, headers=JSON, body='{"files": [{"id": "1", "name": "Image 0", "size": "1"}]}'),
    ],
    ids=["refused", "cut", "too many", "names that are compared otherwise"],
)
def test_what_cannot_be_said_of_several_is_asked_for_each(
    harness: DriveHarness, destination: Destination, answer: Fault
) -> None:
    harness.place(THREE[0].path, b"somebody else's")
    harness.drive.server.faults.add(answer)
    destination.expect(THREE)
    with pytest.raises(GiveUp):
        deliver(destination, THREE[0], SMALL)
    deliver(destination, THREE[1], SMALL)
    assert answer.seen
    assert harness.objects() == {THREE[0].path: b"somebody else's", THREE[1].path: SMALL}
