"""The contract of application.ports.destination, run against every destination."""

from __future__ import annotations

import http.client
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.destinations.hash_match import verify
from application.ports.destination import Destination
from domain.errors import GiveUp, RetryLater, StarferryError
from tests.contract.destination_harness import (
    SMALL_CHUNK,
    FolderHarness,
    Harness,
    as_found,
    content,
    deliver,
    raised_text,
    send,
    upload_of,
)
from tests.contract.dropbox_harness import DropboxHarness
from tests.contract.gcs_harness import GcsHarness
from tests.contract.google_drive_harness import DriveHarness
from tests.contract.s3_harness import S3Harness

HARNESSES: dict[str, Callable[[Path], Harness]] = {
    "folder": FolderHarness,
    "dropbox": DropboxHarness,
    "google_cloud_storage": GcsHarness,
    "google_drive": DriveHarness,
    "s3": S3Harness,
}
PATH = "/fits-data/M31/image_001.fits"
QUARTER_MIB = 256 * 1024


@pytest.fixture(params=HARNESSES)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    made = HARNESSES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def destination(harness: Harness) -> Destination:
    return harness.open()


@pytest.mark.parametrize(
    "size",
    [
        0,
        1,
        QUARTER_MIB - 1,
        QUARTER_MIB,
        QUARTER_MIB + 1,
        2 * QUARTER_MIB - 1,
        2 * QUARTER_MIB,
        5 * QUARTER_MIB + 17,
    ],
)
def test_s01_s02_s03_s04_s05_s53_a_file_of_any_size_arrives_whole_and_verified(
    harness: Harness, destination: Destination, size: int
) -> None:
    data = content(size)
    upload = upload_of(data, PATH)
    arrived = deliver(destination, upload, data)
    assert harness.objects() == {PATH: data}
    assert verify(upload, arrived) in arrived.hashes
    assert (arrived.path, arrived.size) == (PATH, size)
    assert arrived.remote_id
    assert harness.unfinished() == 0


@pytest.mark.parametrize("size", [(8 << 20) - 1, 8 << 20, (8 << 20) + 1, (20 << 20) + 1])
def test_s01_s02_s03_s04_s05_a_large_file_arrives_whole_in_chunks_of_8_mib(harness: Harness, size: int) -> None:
    data = content(size)
    upload = upload_of(data, PATH)
    verify(upload, deliver(harness.open(chunk_size=8 << 20), upload, data))
    assert harness.objects() == {PATH: data}


@pytest.mark.parametrize(
    "path",
    [
        "/at the root.fits",
        "/Galaxy Survey/NGC 7000 α_.fits",
        "/Γαλαξίας/Ανδρομέδα.fits",
        "/a#b/[c]*?.fits",
        "/100%25/a&b=c+d;e.fits",
        "/deep/er/and/deep/er/x.fits.fz",
        "/" + "n" * 250 + ".fits",
    ],
)
def test_s18_odd_names_arrive_as_they_are(harness: Harness, destination: Destination, path: str) -> None:
    upload = upload_of(b"SIMPLE", path)
    assert deliver(destination, upload, b"SIMPLE").path == path
    assert harness.objects() == {path: b"SIMPLE"}
    assert destination.find(upload) is not None


def test_nothing_is_found_before_the_first_byte_and_the_object_after_the_last(destination: Destination) -> None:
    data = content(QUARTER_MIB + 5)
    upload = upload_of(data, PATH)
    assert destination.find(upload) is None
    arrived = deliver(destination, upload, data)
    assert arrived.made
    assert destination.find(upload) == as_found(arrived)


def test_an_object_does_not_appear_before_its_last_byte(harness: Harness, destination: Destination) -> None:
    data = content(3 * QUARTER_MIB)
    upload = upload_of(data, PATH)
    send(destination, upload, data, destination.begin(upload, None), most=2)
    assert harness.objects() == {}
    assert destination.find(upload) is None


@pytest.mark.parametrize("size", [0, 100, 2 * QUARTER_MIB + 3])
def test_s51_the_same_bytes_already_there_count_as_delivered(
    harness: Harness, destination: Destination, size: int
) -> None:
    data = content(size)
    harness.place(PATH, data)
    upload = upload_of(data, PATH)
    found = destination.find(upload)
    assert found is not None
    assert deliver(destination, upload, data) == found
    assert not found.made, "what was there before is never removed"
    assert harness.objects() == {PATH: data}
    assert harness.unfinished() == 0


@pytest.mark.parametrize("size", [0, 100, 2 * QUARTER_MIB + 3])
def test_different_bytes_already_there_are_never_replaced(
    harness: Harness, destination: Destination, size: int
) -> None:
    data = content(size)
    harness.place(PATH, b"somebody else's")
    with pytest.raises(GiveUp, match="Another file is already at"):
        deliver(destination, upload_of(data, PATH), data)
    assert harness.objects() == {PATH: b"somebody else's"}
    assert harness.unfinished() == 0


def test_of_several_that_are_expected_each_meets_what_is_there(harness: Harness, destination: Destination) -> None:
    paths = ["/a/equal.fits", "/a/different.fits", "/a/new.fits", "/b/equal.fits", "/a/it's α, 100%.fits"]
    data = {path: content(100 + number) for number, path in enumerate(paths)}
    harness.place("/a/equal.fits", data["/a/equal.fits"])
    harness.place("/a/different.fits", b"somebody else's")
    uploads = [upload_of(data[path], path, f"transfer-{number}") for number, path in enumerate(paths)]
    before = harness.objects()
    destination.expect(uploads)
    assert harness.objects() == before
    for upload in uploads:
        if upload.path == "/a/different.fits":
            with pytest.raises(GiveUp, match="Another file is already at"):
                deliver(destination, upload, data[upload.path])
        else:
            verify(upload, deliver(destination, upload, data[upload.path]))
    assert harness.objects() == {**data, "/a/different.fits": b"somebody else's"}
    assert harness.unfinished() == 0


@pytest.mark.parametrize("trouble", ["break_credentials", "break_destination"])
def test_expecting_something_never_fails(harness: Harness, destination: Destination, trouble: str) -> None:
    getattr(harness, trouble)()
    destination.expect([upload_of(content(10), f"/a/{number}.fits", f"transfer-{number}") for number in range(3)])


def test_different_bytes_that_come_during_the_upload_are_never_replaced(
    harness: Harness, destination: Destination
) -> None:
    data = content(2 * QUARTER_MIB)
    upload = upload_of(data, PATH)
    session = send(destination, upload, data, destination.begin(upload, None), most=1)
    harness.place(PATH, b"somebody else's")
    with pytest.raises(GiveUp):
        destination.finish(upload, send(destination, upload, data, session))
    assert harness.objects() == {PATH: b"somebody else's"}


@pytest.mark.parametrize("with_session", [True, False])
@pytest.mark.parametrize("size", [0, 100, 2 * QUARTER_MIB])
def test_s51_repeating_after_a_lost_reply_leaves_exactly_one_object(
    harness: Harness, destination: Destination, size: int, with_session: bool
) -> None:
    data = content(size)
    upload = upload_of(data, PATH)
    session = destination.begin(upload, None)
    if size:
        session = send(destination, upload, data, session, most=(size - 1) // SMALL_CHUNK)
    with harness.losing_commit_reply(), pytest.raises(RetryLater):
        destination.finish(upload, send(destination, upload, data, session))
    assert harness.objects() == {PATH: data}

    other = harness.open()
    arrived = deliver(other, upload, data, resume=session if with_session else None)
    verify(upload, arrived)
    assert harness.objects() == {PATH: data}
    assert other.find(upload) == as_found(arrived)


def test_s49_another_process_goes_on_from_the_last_confirmed_byte(harness: Harness, destination: Destination) -> None:
    data = content(5 * QUARTER_MIB + 11)
    upload = upload_of(data, PATH)
    session = send(destination, upload, data, destination.begin(upload, None), most=3)
    destination.close()
    kept = msgspec.json.decode(msgspec.json.encode(session), type=type(session))

    other = harness.open()
    resumed = other.begin(upload, kept)
    assert resumed.offset == 3 * QUARTER_MIB
    verify(upload, other.finish(upload, send(other, upload, data, resumed)))
    assert harness.objects() == {PATH: data}
    assert harness.unfinished() == 0


def test_s51_bytes_that_were_sent_again_do_no_harm(harness: Harness, destination: Destination) -> None:
    data = content(3 * QUARTER_MIB)
    upload = upload_of(data, PATH)
    first = destination.begin(upload, None)
    send(destination, upload, data, first, most=2)
    verify(upload, destination.finish(upload, send(destination, upload, data, first)))
    assert harness.objects() == {PATH: data}


def test_a_lost_upload_begins_anew(harness: Harness, destination: Destination) -> None:
    data = content(3 * QUARTER_MIB)
    upload = upload_of(data, PATH)
    session = send(destination, upload, data, destination.begin(upload, None), most=2)
    harness.lose_uploads()
    with pytest.raises(RetryLater):
        destination.finish(upload, send(destination, upload, data, session))
    begun = destination.begin(upload, session)
    assert begun.offset == 0
    verify(upload, destination.finish(upload, send(destination, upload, data, begun)))
    assert harness.objects() == {PATH: data}


def test_a_finished_upload_can_be_asked_again(harness: Harness, destination: Destination) -> None:
    data = content(QUARTER_MIB + 1)
    upload = upload_of(data, PATH)
    session = send(destination, upload, data, destination.begin(upload, None))
    arrived = destination.finish(upload, session)
    assert as_found(destination.finish(upload, session)) == as_found(arrived)
    assert as_found(harness.open().finish(upload, session)) == as_found(arrived)


def test_remove_takes_away_what_arrived(harness: Harness, destination: Destination) -> None:
    arrived = deliver(destination, upload_of(b"SIMPLE", PATH), b"SIMPLE")
    harness.place("/other.fits", b"stays")
    harness.open().remove(arrived)
    assert harness.objects() == {"/other.fits": b"stays"}
    destination.remove(arrived)


def test_remove_leaves_an_object_that_replaced_ours(harness: Harness, destination: Destination) -> None:
    arrived = deliver(destination, upload_of(b"SIMPLE", PATH), b"SIMPLE")
    harness.place(PATH, b"theirs")
    destination.remove(arrived)
    assert harness.objects() == {PATH: b"theirs"}


@pytest.mark.parametrize("size", [0, 100, 2 * QUARTER_MIB + 3])
def test_s60_a_delivered_copy_is_seen_with_its_checksum_by_another_process(
    harness: Harness, destination: Destination, size: int
) -> None:
    data = content(size)
    upload = upload_of(data, PATH)
    arrived = deliver(destination, upload, data)
    assert harness.open().look(upload, arrived.remote_id) == as_found(arrived)


def test_s60_a_copy_that_is_gone_is_missing(harness: Harness, destination: Destination) -> None:
    upload = upload_of(b"SIMPLE", PATH)
    arrived = deliver(destination, upload, b"SIMPLE")
    destination.remove(arrived)
    assert destination.look(upload, arrived.remote_id) is None


def test_s60_a_copy_that_was_replaced_shows_other_checksums(harness: Harness, destination: Destination) -> None:
    upload = upload_of(b"SIMPLE", PATH)
    arrived = deliver(destination, upload, b"SIMPLE")
    harness.place(PATH, b"theirs")
    seen = destination.look(upload, arrived.remote_id)
    assert seen is not None
    assert any(seen.hashes[name] != value for name, value in arrived.hashes.items())


def test_s60_hashes_that_nobody_knows_do_not_hinder_a_look(harness: Harness, destination: Destination) -> None:
    upload = upload_of(b"SIMPLE", PATH)
    arrived = deliver(destination, upload, b"SIMPLE")
    only_md5 = msgspec.structs.replace(upload.hashes, sha256="", crc32c="", dropbox="")
    seen = destination.look(msgspec.structs.replace(upload, hashes=only_md5), arrived.remote_id)
    assert seen is not None
    assert msgspec.structs.replace(seen, hashes=arrived.hashes) == as_found(arrived)
    assert seen.hashes
    assert seen.hashes.items() <= arrived.hashes.items()


def test_s60_a_destination_that_is_gone_as_a_whole_says_nothing_of_its_copies(
    harness: Harness, destination: Destination
) -> None:
    upload = upload_of(b"SIMPLE", PATH)
    arrived = deliver(destination, upload, b"SIMPLE")
    harness.break_destination()
    with pytest.raises(StarferryError):
        harness.open().look(upload, arrived.remote_id)


@pytest.mark.parametrize("chunks", [0, 2])
def test_abandon_leaves_nothing(harness: Harness, destination: Destination, chunks: int) -> None:
    data = content(3 * QUARTER_MIB)
    upload = upload_of(data, PATH)
    session = send(destination, upload, data, destination.begin(upload, None), most=chunks)
    assert harness.unfinished() == 1
    harness.open().abandon(upload, session)
    assert (harness.objects(), harness.unfinished()) == ({}, 0)
    destination.abandon(upload, session)


def test_abandon_leaves_a_finished_object_alone(harness: Harness, destination: Destination) -> None:
    data = content(QUARTER_MIB)
    upload = upload_of(data, PATH)
    session = send(destination, upload, data, destination.begin(upload, None))
    destination.finish(upload, session)
    destination.abandon(upload, session)
    assert harness.objects() == {PATH: data}


@pytest.mark.parametrize("size", [0, 10, 2 * QUARTER_MIB])
def test_s53_bytes_that_differ_from_their_checksum_leave_no_object(
    harness: Harness, destination: Destination, size: int
) -> None:
    data = content(size)
    upload = msgspec.structs.replace(upload_of(data, PATH), hashes=upload_of(b"other bytes", PATH).hashes)
    with pytest.raises(StarferryError, match="checksum differs"):
        deliver(destination, upload, data)
    assert (harness.objects(), harness.unfinished()) == ({}, 0)


def test_s29_the_connection_test_passes_and_leaves_nothing(harness: Harness, destination: Destination) -> None:
    assert [(check.name, check.ok, check.reason) for check in destination.test()] == [
        ("credentials", True, ""),
        ("destination", True, ""),
        ("upload", True, ""),
    ]
    assert (harness.objects(), harness.unfinished()) == ({}, 0)


def test_s29_s30_the_connection_test_stops_at_credentials_that_are_no_longer_valid(harness: Harness) -> None:
    harness.break_credentials()
    checks = harness.open().test()
    assert [(check.name, check.ok) for check in checks] == [("credentials", False)]
    assert checks[-1].reason.endswith(".")


def test_s29_s30_the_connection_test_stops_at_a_destination_that_does_not_exist(harness: Harness) -> None:
    harness.break_destination()
    checks = harness.open().test()
    assert [(check.name, check.ok) for check in checks] == [("credentials", True), ("destination", False)]
    assert "does not exist" in checks[-1].reason


def test_s29_s30_the_connection_test_says_when_writing_is_not_permitted(harness: Harness) -> None:
    destination = harness.open()
    with harness.forbid_writing():
        checks = destination.test()
    assert [check.ok for check in checks] == [True, True, False]
    assert "permission" in checks[-1].reason or "grant" in checks[-1].reason
    assert harness.objects() == {}


def test_s22_no_message_and_no_log_line_holds_a_secret(
    harness: Harness, destination: Destination, caplog: pytest.LogCaptureFixture
) -> None:
    data = content(2 * QUARTER_MIB)
    upload = upload_of(data, PATH)
    texts: list[str] = []

    def attempt(step: Callable[[], Any]) -> None:
        with pytest.raises(StarferryError) as raised:
            step()
        texts.append(raised_text(raised.value))

    with caplog.at_level(logging.DEBUG):
        session = send(destination, upload, data, destination.begin(upload, None), most=1)
        secrets = harness.secrets()
        harness.lose_uploads()
        attempt(lambda: destination.put(upload, session, data[QUARTER_MIB:]))
        harness.place(PATH, b"theirs")
        attempt(lambda: deliver(destination, upload, data))
        secrets += harness.secrets()
        harness.break_destination()
        attempt(lambda: deliver(destination, upload, data, resume=session))
        texts += [check.reason for check in harness.open().test()]
    texts += [repr(destination), caplog.text]
    assert secrets
    assert [(secret, text) for secret in secrets for text in texts if secret in text] == []


def test_s31_no_chunk_is_handed_over_whole(
    harness: Harness, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time-out bounds one send: on a line slower than chunk by time-out, none would ever get through."""
    sent: list[int] = []
    real = http.client.HTTPConnection.send

    def send_one(self: http.client.HTTPConnection, data: Any) -> None:
        sent.append(len(data) if hasattr(data, "__len__") else 0)
        real(self, data)

    destination = harness.open(chunk_size=16 * QUARTER_MIB)
    monkeypatch.setattr(http.client.HTTPConnection, "send", send_one)
    for size in (3 * QUARTER_MIB, 33 * QUARTER_MIB):
        data = content(size)
        deliver(destination, upload_of(data, f"/M31/of_{size}.fits", f"transfer-{size}"), data)
    assert all(one <= 2 * QUARTER_MIB for one in sent), sent
