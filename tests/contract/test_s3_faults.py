"""An S3 service's faults, each from the wire up: what the destination makes of them, and that it goes on."""

from __future__ import annotations

import base64
import hashlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import google_crc32c
import msgspec
import pytest

from adapters.destinations.hash_match import verify
from adapters.destinations.s3 import S3Destination
from adapters.destinations.s3_account import S3Account
from application.ports.destination import Destination, Session
from domain.errors import (
    ChecksumMismatch,
    DestinationPaused,
    GiveUp,
    NeedsAuthorization,
    RetryLater,
    StarferryError,
)
from tests.contract.destination_harness import as_found, content, deliver, raised_text, send, upload_of
from tests.contract.s3_harness import ACCESS_KEY, BUCKET, LOOPBACK, SECRET_KEY, S3Harness
from tests.emulators.s3 import ALL_PERMISSIONS
from tests.site import eventually

PATH = "/M31/image_001.fits"
QUARTER_MIB = 256 * 1024
DATA = content(5 * QUARTER_MIB + 9)
UPLOAD = upload_of(DATA, PATH)
SMALL = content(1000)
SMALL_UPLOAD = upload_of(SMALL, PATH)
PART, BEGINNING, COMPLETION, WHOLE = "partNumber=", r"\?uploads", r"\?uploadId=", r"/M31/[^?]*$"


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[S3Harness]:
    made = S3Harness(tmp_path)
    yield made
    made.close()


@pytest.fixture
def destination(harness: S3Harness) -> Destination:
    return harness.open(chunk_size=2 * QUARTER_MIB)


def s3_error(code: str, message: str = "see code") -> str:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"


def goes_on(harness: S3Harness, destination: Destination, session: Session | None) -> None:
    """The next attempt delivers exactly one object."""
    verify(UPLOAD, deliver(destination, UPLOAD, DATA, session))
    assert harness.objects() == {PATH: DATA}
    if session is not None:
        assert harness.unfinished() == 0


def refused(harness: S3Harness, error: pytest.ExceptionInfo[Any]) -> str:
    """The error's text, checked for secrets."""
    text = raised_text(error.value)
    assert [one for one in harness.secrets() if one in text] == []
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return str(error.value)


EVERYWHERE = [("POST", BEGINNING), ("PUT", PART), ("POST", COMPLETION), ("GET", COMPLETION)]


@pytest.mark.parametrize(("method", "path"), [*EVERYWHERE, ("HEAD", WHOLE)])
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_tried_later_and_only_later(
    harness: S3Harness, destination: Destination, method: str, path: str, status: int
) -> None:
    harness.s3.fault(method=method, path=path, status=status, body=s3_error("InternalError"))
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    refused(harness, raised)
    assert len(harness.s3.requests(method, path)) == 1, "the SDK's own retries are off"
    goes_on(harness, destination, None)


def test_s44_retry_after_is_passed_on(harness: S3Harness, destination: Destination) -> None:
    harness.s3.fault(path=PART, status=503, headers={"Retry-After": "42"}, body=s3_error("SlowDown"))
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    assert raised.value.retry_after == 42.0


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "QuotaExceeded", DestinationPaused),
        (403, "AccessDenied", GiveUp),
        (404, "NoSuchBucket", GiveUp),
        (400, "ExpiredToken", NeedsAuthorization),
        (403, "RequestTimeTooSkewed", RetryLater),
    ],
)
@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
def test_a_refusal_is_told_apart_by_its_code_wherever_it_comes(
    harness: S3Harness,
    destination: Destination,
    status: int,
    code: str,
    kind: type[StarferryError],
    method: str,
    path: str,
) -> None:
    harness.s3.fault(method=method, path=path, status=status, body=s3_error(code))
    with pytest.raises(kind) as raised:
        deliver(destination, UPLOAD, DATA)
    refused(harness, raised)


@pytest.mark.parametrize("chunks", [0, 1])
def test_s45_a_revoked_key_asks_for_authorization(harness: S3Harness, destination: Destination, chunks: int) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=chunks)
    harness.break_credentials()
    with pytest.raises(NeedsAuthorization, match="keys") as raised:
        deliver(destination, UPLOAD, DATA, session)
    refused(harness, raised)
    harness.s3.emulator.add_key(ACCESS_KEY, SECRET_KEY)
    assert destination.begin(UPLOAD, session).offset == chunks * 2 * QUARTER_MIB
    goes_on(harness, destination, session)


def test_a_wrong_secret_asks_for_authorization(harness: S3Harness) -> None:
    wrong = harness.open(secret_key=SECRET_KEY[:-1] + "!")
    with pytest.raises(NeedsAuthorization) as raised:
        deliver(wrong, SMALL_UPLOAD, SMALL)
    refused(harness, raised)
    assert [(check.name, check.ok) for check in wrong.test()] == [("credentials", False)]


def test_a_wrong_region_is_mended_or_named(harness: S3Harness) -> None:
    harness.s3.emulator.region = "eu-central-1"
    checks = harness.open().test()
    assert [check.ok for check in checks] == [True, True, True], "the service says which one, and the SDK signs for it"
    region = {"x-amz-bucket-region": "us-east-2"}
    harness.s3.fault(status=301, headers=region, body=s3_error("PermanentRedirect"), times=0)
    assert "another region" in harness.open().test()[-1].reason


def test_a_missing_bucket_is_for_good(harness: S3Harness, destination: Destination) -> None:
    harness.break_destination()
    with pytest.raises(GiveUp, match="bucket does not exist"):
        deliver(destination, UPLOAD, DATA)
    with pytest.raises(GiveUp, match="bucket does not exist"):
        deliver(destination, SMALL_UPLOAD, SMALL)


@pytest.mark.parametrize("missing", ["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"])
def test_a_missing_permission_fails_the_connection_test(
    harness: S3Harness, destination: Destination, missing: str
) -> None:
    harness.permit(*(one for one in ALL_PERMISSIONS if one != missing))
    check = destination.test()[-1]
    assert not check.ok
    assert "permission" in check.reason


def test_a_head_that_is_refused_is_asked_why(harness: S3Harness, destination: Destination) -> None:
    """Without the right to list, what is absent is refused, too: nothing may be taken for absent then."""
    harness.permit("s3:GetObject", "s3:PutObject")
    with pytest.raises(GiveUp, match="permission"):
        destination.find(UPLOAD)
    harness.break_credentials()
    with pytest.raises(NeedsAuthorization):
        destination.find(UPLOAD)


PAGE = "<html><body>Please log in to the network</body></html>"


@pytest.mark.parametrize("status", [200, 400, 403, 404, 502])
@pytest.mark.parametrize("body", [PAGE, ""])
@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
def test_junk_from_a_proxy_is_a_passing_fault(
    harness: S3Harness, destination: Destination, status: int, body: str, method: str, path: str
) -> None:
    harness.s3.fault(method=method, path=path, status=status, headers={"Content-Type": "text/html"}, body=body)
    session = destination.begin(UPLOAD, None) if path != BEGINNING else None
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA, session)
    refused(harness, raised)
    goes_on(harness, destination, session)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(("method", "path"), [*EVERYWHERE, ("HEAD", WHOLE)])
def test_a_redirect_is_not_followed_elsewhere(
    harness: S3Harness, destination: Destination, status: int, method: str, path: str
) -> None:
    """At most the SDK asks once more at the same address, when that tells another region."""
    headers = {"Location": f"{harness.s3.url}/elsewhere", "x-amz-bucket-region": "us-east-1"}
    harness.s3.fault(method=method, path=path, status=status, headers=headers, times=2)
    with pytest.raises((RetryLater, GiveUp)) as raised:
        deliver(destination, UPLOAD, DATA)
    refused(harness, raised)
    assert harness.s3.requests(path="elsewhere") == []


@pytest.mark.parametrize("status", [200, 403, 404, 502])
def test_junk_in_place_of_a_small_file_s_answers_is_a_passing_fault(
    harness: S3Harness, destination: Destination, status: int
) -> None:
    for method in ("HEAD", "PUT"):
        harness.s3.fault(method=method, path=WHOLE, status=status, headers={"Content-Type": "text/html"}, body=PAGE)
        if (method, status) in (("HEAD", 404), ("HEAD", 403)):
            continue  # what is truly there decides
        with pytest.raises(RetryLater):
            deliver(destination, SMALL_UPLOAD, SMALL)
    harness.s3.server.faults.clear()
    verify(SMALL_UPLOAD, deliver(destination, SMALL_UPLOAD, SMALL))
    assert harness.objects() == {PATH: SMALL}


def test_a_completion_that_fails_inside_a_200_has_failed(harness: S3Harness, destination: Destination) -> None:
    """S3 sends the head before it knows how the completion will end."""
    harness.s3.fault(method="POST", path=COMPLETION, status=200, body=s3_error("InternalError"))
    session = destination.begin(UPLOAD, None)
    with pytest.raises(RetryLater):
        destination.finish(UPLOAD, send(destination, UPLOAD, DATA, session))
    goes_on(harness, destination, session)


@pytest.mark.parametrize(("method", "path"), [("PUT", PART), ("POST", BEGINNING), ("HEAD", WHOLE)])
def test_a_stall_ends_at_the_time_out(harness: S3Harness, method: str, path: str) -> None:
    destination = harness.open(chunk_size=2 * QUARTER_MIB, timeout=0.4)
    harness.s3.fault(method=method, path=path, stall=30.0)
    begun = time.monotonic()
    with pytest.raises(RetryLater) as raised:
        deliver(destination, UPLOAD, DATA)
    assert time.monotonic() - begun < 25
    refused(harness, raised)


@pytest.mark.parametrize("close", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_connection_closed_at_any_part_is_made_good(
    harness: S3Harness, destination: Destination, close: str, nth: int
) -> None:
    """The service has confirmed the part when only the answer was lost: it is not sent again."""
    harness.s3.fault(method="PUT", path=PART, nth=nth, close=close)
    session = destination.begin(UPLOAD, None)
    with pytest.raises(RetryLater) as raised:
        send(destination, UPLOAD, DATA, session)
    refused(harness, raised)
    confirmed = min(2 * QUARTER_MIB * (nth if close == "after" else nth - 1), UPLOAD.size)
    assert destination.begin(UPLOAD, session).offset == confirmed
    goes_on(harness, destination, session)


def test_a_part_that_was_cut_off_is_sent_again(harness: S3Harness, destination: Destination) -> None:
    harness.s3.fault(method="PUT", path=PART, nth=2, cut_body_at=QUARTER_MIB + 1000)
    session = destination.begin(UPLOAD, None)
    with pytest.raises(RetryLater):
        send(destination, UPLOAD, DATA, session)
    assert destination.begin(UPLOAD, session).offset == 2 * QUARTER_MIB
    goes_on(harness, destination, session)


WORKER = """
import sys
import msgspec
from tests.contract.s3_harness import ACCESS_KEY, BUCKET, LOOPBACK, SECRET_KEY, S3Account, S3Destination
from tests.contract.test_s3_faults import DATA, QUARTER_MIB, UPLOAD

account = S3Account(sys.argv[1], "", ACCESS_KEY, SECRET_KEY, LOOPBACK)
destination = S3Destination(account, BUCKET, QUARTER_MIB)
session = destination.begin(UPLOAD, None)
print(msgspec.json.encode(session).decode(), flush=True)
while True:
    data = DATA[session.offset : session.offset + QUARTER_MIB]
    session = destination.put(UPLOAD, session, data)
    print(session.offset, flush=True)
"""


@pytest.mark.parametrize("parts", [1, 3])
def test_s49_what_a_killed_worker_had_sent_is_not_sent_again(harness: S3Harness, parts: int) -> None:
    """Only the session of the beginning was kept; what came after it the service tells."""
    stall = harness.s3.fault(method="PUT", path=PART, nth=parts + 1, stall=30.0)
    command = [sys.executable, "-c", WORKER, harness.s3.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        session = msgspec.json.decode(worker.stdout.readline(), type=Session)
        sent = [int(worker.stdout.readline()) for _ in range(parts)]
        eventually(lambda: stall.seen > parts, "the worker sends no further part")
        worker.kill()
    destination = harness.open(chunk_size=QUARTER_MIB)
    assert destination.begin(UPLOAD, session).offset == sent[-1] == parts * QUARTER_MIB
    goes_on(harness, destination, session)
    assert len(harness.s3.requests("POST", BEGINNING)) == 1


def test_many_parts_are_listed_in_pages(harness: S3Harness, destination: Destination) -> None:
    data = content(9000)
    upload = upload_of(data, PATH)
    harness.s3.emulator.uploads.least_part = 1
    small = harness.open(chunk_size=8)
    session = small.begin(upload, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Destination, "_put_part", _put_directly(harness))
        session = send(small, upload, data, session)
    assert session.state["parts"] == 1125
    assert harness.open(chunk_size=8).begin(upload, session).offset == len(data)
    assert len(harness.s3.requests("GET", "part-number-marker=1000")) == 1
    verify(upload, small.finish(upload, session))
    assert harness.objects() == {PATH: data}


def _put_directly(harness: S3Harness) -> Any:
    """Parts laid into the emulator's store without HTTP, which would take seconds for a thousand."""
    store = harness.s3.emulator.store

    def put(_: S3Destination, upload: Any, session: Session, data: bytes) -> Session:
        number = session.state["parts"] + 1
        blob = f"part-{number}"
        store.blob_path(blob).write_bytes(data)
        crc = google_crc32c.value(data).to_bytes(4, "big")
        store.run(
            "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?)", session.state["upload"], number, blob, len(data),
            hashlib.md5(data).hexdigest(), base64.b64encode(crc).decode(),
        )  # fmt: skip
        total = google_crc32c.extend(int(session.state["crc32c"], 16), data)
        state = {**session.state, "parts": number, "crc32c": f"{total:08x}"}
        return Session(session.offset + len(data), state)

    return put


@pytest.mark.parametrize("close", ["before", "after"])
def test_a_lost_reply_to_the_beginning_leaves_no_second_object(
    harness: S3Harness, destination: Destination, close: str
) -> None:
    harness.s3.fault(method="POST", path=BEGINNING, close=close)
    with pytest.raises(RetryLater):
        destination.begin(UPLOAD, None)
    goes_on(harness, destination, None)


def test_parts_that_do_not_fit_what_was_kept_begin_anew(harness: S3Harness, destination: Destination) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=2)
    harness.s3.emulator.store.run("DELETE FROM parts WHERE number = 1")
    assert destination.begin(UPLOAD, session).offset == 0
    assert harness.unfinished() == 1, "the old one was ended"
    with pytest.raises(RetryLater):
        destination.finish(UPLOAD, send(destination, UPLOAD, DATA, session))
    goes_on(harness, destination, None)


def test_bytes_damaged_on_their_way_are_noticed_by_the_service(harness: S3Harness, destination: Destination) -> None:
    harness.s3.fault(method="PUT", path=PART, nth=2, status=400, body=s3_error("BadDigest"))
    with pytest.raises(ChecksumMismatch, match="checksum differs"):
        deliver(destination, UPLOAD, DATA)
    assert harness.unfinished() == 0, "so that the next attempt begins anew"
    goes_on(harness, destination, None)


def test_a_file_damaged_on_this_server_never_appears(harness: S3Harness, destination: Destination) -> None:
    """Each part's checksum fits its bytes; that of the whole doesn't fit the file's."""
    damaged = DATA[:-1] + b"!"
    with pytest.raises(ChecksumMismatch, match="damaged"):
        deliver(destination, UPLOAD, damaged)
    with pytest.raises(ChecksumMismatch, match="damaged"):
        deliver(destination, SMALL_UPLOAD, SMALL[:-1] + b"!")
    assert (harness.objects(), harness.unfinished()) == ({}, 0)


def test_another_s_object_between_look_and_completion_is_never_replaced(
    harness: S3Harness, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The condition of the write decides where the look was too early."""
    head = S3Destination._head
    looks: list[str] = []

    def late(self: S3Destination, path: str) -> Any:
        looks.append(path)
        found = head(self, path)
        if len(looks) == 2:
            harness.place(PATH, b"theirs")
        return found

    monkeypatch.setattr(S3Destination, "_head", late)
    with pytest.raises(GiveUp, match="Another file"):
        deliver(destination, UPLOAD, DATA)
    assert (harness.objects(), harness.unfinished()) == ({PATH: b"theirs"}, 0)


@pytest.mark.parametrize("manner", ["plain", "deaf"])
@pytest.mark.parametrize(("upload", "data"), [(UPLOAD, DATA), (SMALL_UPLOAD, SMALL), (upload_of(b"", PATH), b"")])
def test_a_service_without_conditions_and_checksums_of_the_whole_will_do(
    harness: S3Harness, manner: str, upload: Any, data: bytes
) -> None:
    harness.s3.emulator.uploads.manner = manner
    destination = harness.open(chunk_size=2 * QUARTER_MIB)
    with harness.losing_commit_reply(), pytest.raises(RetryLater):
        deliver(destination, upload, data)
    arrived = deliver(harness.open(chunk_size=2 * QUARTER_MIB), upload, data)
    verify(upload, arrived)
    destination.remove(arrived)
    assert harness.objects() == {}
    arrived = deliver(destination, upload, data)
    verify(upload, arrived)
    assert harness.objects() == {PATH: data}
    harness.place(PATH, b"theirs")
    with pytest.raises(GiveUp):
        deliver(destination, upload, data)
    destination.remove(arrived)
    assert harness.objects() == {PATH: b"theirs"}
    assert all(check.ok for check in destination.test())


@pytest.mark.parametrize("manner", ["plain", "deaf"])
def test_without_checksums_of_parts_it_goes_on_from_what_was_kept(harness: S3Harness, manner: str) -> None:
    harness.s3.emulator.uploads.manner = manner
    destination = harness.open(chunk_size=2 * QUARTER_MIB)
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=1)
    send(destination, UPLOAD, DATA, session, most=1)
    kept = msgspec.json.decode(msgspec.json.encode(session), type=Session)
    assert harness.open(chunk_size=2 * QUARTER_MIB).begin(UPLOAD, kept).offset == 2 * QUARTER_MIB
    goes_on(harness, destination, kept)


def test_a_refused_header_is_asked_for_once_and_not_again(harness: S3Harness, destination: Destination) -> None:
    harness.s3.emulator.uploads.manner = "plain"
    for name in ("/a/1", "/a/2", "/a/3"):
        deliver(destination, upload_of(SMALL, name), SMALL)
    assert [one["status"] for one in harness.s3.requests("PUT")] == [501, 200, 200, 200]


def test_parts_are_compared_by_their_md5s_without_reading_back(harness: S3Harness) -> None:
    harness.s3.emulator.uploads.manner = "plain"
    destination = harness.open(chunk_size=2 * QUARTER_MIB)
    arrived = deliver(destination, UPLOAD, DATA)
    assert arrived.hashes == {"crc32c": UPLOAD.hashes.crc32c}
    assert harness.s3.requests("GET", WHOLE) == []
    found = destination.find(UPLOAD)
    assert found is not None
    assert found.hashes == {"crc32c": UPLOAD.hashes.crc32c, "md5": UPLOAD.hashes.md5}
    assert len(harness.s3.requests("GET", WHOLE)) == 1, "a stranger's parts aren't known: the bytes are read"


@pytest.mark.parametrize(("upload", "data"), [(UPLOAD, DATA), (SMALL_UPLOAD, SMALL)])
def test_where_nothing_can_be_compared_the_bytes_are_read_back(harness: S3Harness, upload: Any, data: bytes) -> None:
    """A bucket with a key of its owner's (SSE-KMS) at a service without checksums of the whole."""
    harness.s3.emulator.uploads.manner, harness.s3.emulator.uploads.own_etags = "plain", True
    destination = harness.open(chunk_size=2 * QUARTER_MIB)
    arrived = deliver(destination, upload, data)
    verify(upload, arrived)
    assert arrived.hashes == {"md5": upload.hashes.md5, "crc32c": upload.hashes.crc32c}
    assert len(harness.s3.requests("GET", WHOLE)) == 1


def test_bytes_that_changed_at_the_service_are_never_verified(harness: S3Harness) -> None:
    """The last of the comparisons, against a service whose parts aren't what it confirmed."""
    harness.s3.emulator.uploads.manner, harness.s3.emulator.uploads.own_etags = "deaf", True
    destination = harness.open(chunk_size=2 * QUARTER_MIB)
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None))
    store = harness.s3.emulator.store
    blob = store.run("SELECT blob FROM parts WHERE number = 2")[0][0]
    store.blob_path(blob).write_bytes(b"\0" * 2 * QUARTER_MIB)
    arrived = destination.finish(UPLOAD, session)
    with pytest.raises(ChecksumMismatch):
        verify(UPLOAD, arrived)
    destination.remove(arrived)
    assert harness.objects() == {}


@pytest.mark.parametrize(
    "permissions", [ALL_PERMISSIONS, [p for p in ALL_PERMISSIONS if p != "s3:DeleteObjectVersion"]]
)
def test_in_a_bucket_with_versions_exactly_ours_is_removed(tmp_path: Path, permissions: list[str]) -> None:
    harness = S3Harness(tmp_path, versioned=True)
    try:
        harness.permit(*permissions)
        destination = harness.open()
        arrived = deliver(destination, SMALL_UPLOAD, SMALL)
        assert destination.find(SMALL_UPLOAD) == as_found(arrived)
        harness.place(PATH, b"theirs")
        destination.remove(arrived)
        assert harness.objects() == {PATH: b"theirs"}
        ours = deliver(destination, upload_of(SMALL, "/other.fits"), SMALL)
        destination.remove(ours)
        destination.remove(ours)
        assert harness.objects() == {PATH: b"theirs"}
        rows = harness.s3.emulator.store.run("SELECT count(*) FROM objects WHERE key = 'other.fits'")[0][0]
        assert rows == (0 if "s3:DeleteObjectVersion" in permissions else 2), "hidden where versions must stay"
    finally:
        harness.close()


def test_a_file_of_many_parts_gets_larger_ones(harness: S3Harness, destination: Destination) -> None:
    """10 000 parts are the most; nothing is sent but the beginning."""
    huge = msgspec.structs.replace(UPLOAD, size=160_000 << 20)
    session = destination.begin(huge, None)
    assert destination.chunk_size == 16 << 20
    destination.abandon(huge, session)


@pytest.mark.parametrize("allowed", [(), (ip_network("10.0.0.0/8"),)])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
def test_an_endpoint_that_is_not_public_is_never_called(harness: S3Harness, allowed: Any, host: str) -> None:
    port = harness.s3.url.rpartition(":")[2]
    for scheme in ("http", "https"):
        account = S3Account(f"{scheme}://{host}:{port}", "", ACCESS_KEY, SECRET_KEY, allowed)
        destination = S3Destination(account, BUCKET)
        with pytest.raises(GiveUp, match="STARFERRY_S3_NETWORKS") as raised:
            destination.find(UPLOAD)
        refused(harness, raised)
        checks = destination.test()
        assert [check.ok for check in checks] == [True, False]
        assert "operator" in checks[-1].reason
        account.close()
    assert harness.s3.requests() == []


def test_a_name_that_changes_its_meaning_is_called_where_it_was_judged(
    harness: S3Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when looked at, ours when called. There is one look only, and that address is called."""
    asked: list[str] = []
    called: list[Any] = []

    def lookup(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        address = "203.0.114.7" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(address: Any, *_: Any, **__: Any) -> Any:
        called.append(address)
        raise OSError("injected")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    account = S3Account("https://rebinding.example:9000", "", ACCESS_KEY, SECRET_KEY)
    with pytest.raises(RetryLater):
        S3Destination(account, BUCKET).find(UPLOAD)
    account.close()
    assert asked == ["rebinding.example"]
    assert called == [("203.0.114.7", 9000)]


def test_a_name_that_nobody_knows_is_a_passing_fault(harness: S3Harness) -> None:
    account = S3Account("https://nobody.invalid", "", ACCESS_KEY, SECRET_KEY)
    with pytest.raises(RetryLater):
        S3Destination(account, BUCKET).find(UPLOAD)
    account.close()


def test_a_proxy_is_asked_for_https_and_never_for_plain_http(
    harness: S3Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def serve() -> None:
            connection, _ = proxy.accept()
            with connection:
                asked.append(connection.recv(1000).split(b"\r\n")[0])

        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        goes_on(harness, harness.open(), None)
        assert asked == []
        account = S3Account("https://s3.example", "", ACCESS_KEY, SECRET_KEY)
        with pytest.raises(RetryLater):
            S3Destination(account, BUCKET).find(UPLOAD)
        account.close()
        thread.join(timeout=10)
    assert [line.rpartition(b" ")[0] for line in asked] == [b"CONNECT s3.example:443"]


def test_the_operator_s_own_keys_and_endpoint_are_never_used(
    harness: S3Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOPERATOR")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "operators")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "operators-token")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.2:9")
    for access, secret in (("", ""), ("AKIAFERRY", ""), ("", "x")):
        with pytest.raises(GiveUp, match="no access keys"):
            S3Account(harness.s3.url, "", access, secret, LOOPBACK)
    goes_on(harness, harness.open(), None)
    amazon = S3Account("", "eu-central-1", ACCESS_KEY, SECRET_KEY)
    assert amazon.client.meta.endpoint_url == "https://s3.eu-central-1.amazonaws.com"
    amazon.close()


def test_a_service_that_was_seen_to_keep_the_condition_is_not_asked_before_each_small_file(harness: S3Harness) -> None:
    account = S3Account(harness.s3.url, "", ACCESS_KEY, SECRET_KEY, LOOPBACK)
    for number in range(3):
        destination = S3Destination(account, BUCKET)
        verify(SMALL_UPLOAD, deliver(destination, upload_of(SMALL, f"/M31/{number}.fits"), SMALL))
    asked = [(one["method"], one["status"]) for one in harness.s3.requests(path=WHOLE)]
    assert asked == [("HEAD", 404), ("PUT", 200), ("PUT", 412), ("PUT", 200), ("PUT", 200)]
    with pytest.raises(GiveUp, match="Another file"):
        deliver(S3Destination(account, BUCKET), upload_of(b"other", "/M31/0.fits"), b"other")
    again = deliver(S3Destination(account, BUCKET), upload_of(SMALL, "/M31/0.fits"), SMALL)
    verify(SMALL_UPLOAD, again)
    assert harness.objects() == {f"/M31/{number}.fits": SMALL for number in range(3)}
    account.close()


@pytest.mark.parametrize("manner", ["plain", "deaf"])
def test_a_service_that_ignores_or_refuses_the_condition_is_asked_before_each_file(
    harness: S3Harness, manner: str
) -> None:
    harness.s3.emulator.uploads.manner = manner
    account = S3Account(harness.s3.url, "", ACCESS_KEY, SECRET_KEY, LOOPBACK)
    for number in range(3):
        deliver(S3Destination(account, BUCKET), upload_of(SMALL, f"/M31/{number}.fits"), SMALL)
    assert len(harness.s3.requests("HEAD", WHOLE)) >= 3
    with pytest.raises(GiveUp, match="Another file"):
        deliver(S3Destination(account, BUCKET), upload_of(b"other", "/M31/0.fits"), b"other")
    account.close()


def test_a_service_that_does_not_know_the_condition_any_more_is_not_written_to_unseen(harness: S3Harness) -> None:
    account = S3Account(harness.s3.url, "", ACCESS_KEY, SECRET_KEY, LOOPBACK)
    deliver(S3Destination(account, BUCKET), upload_of(SMALL, "/M31/0.fits"), SMALL)
    harness.place("/M31/1.fits", b"theirs")
    harness.s3.fault(method="PUT", path=WHOLE, status=501, body=s3_error("NotImplemented"))
    theirs = upload_of(SMALL, "/M31/1.fits")
    with pytest.raises(RetryLater, match="conditions"):
        deliver(S3Destination(account, BUCKET), theirs, SMALL)
    with pytest.raises(GiveUp, match="Another file"):
        deliver(S3Destination(account, BUCKET), theirs, SMALL)
    assert harness.objects()["/M31/1.fits"] == b"theirs"
    account.close()


def test_where_versions_are_kept_the_condition_is_not_tried(tmp_path: Path) -> None:
    harness = S3Harness(tmp_path, versioned=True)
    account = S3Account(harness.s3.url, "", ACCESS_KEY, SECRET_KEY, LOOPBACK)
    for number in range(2):
        deliver(S3Destination(account, BUCKET), upload_of(SMALL, f"/M31/{number}.fits"), SMALL)
    asked = [(one["method"], one["status"]) for one in harness.s3.requests(path=WHOLE)]
    assert asked == [("HEAD", 404), ("PUT", 200)] * 2
    account.close()
    harness.close()
