"""Bytes leave the file store once the log says so, and only then are their names free."""

from __future__ import annotations

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.policies.remove_deleted_files import RemoveDeletedFiles
from application.ports.event_log import Commit, Write
from domain import frames
from domain.errors import AlreadyExists, InvalidInput, RetryLater
from domain.event import Event
from domain.frames import FileDeletedFromServer, FilesRemoved, FrameDeleted, FrameVersion
from domain.thumbnails import ThumbnailAdded, ThumbnailRemoved, claim_of
from tests.fakes.clock import NOON, StillClock
from tests.fakes.file_store import HeldFiles
from tests.fakes.samples import CAUSE, arrived, file_processed, record, thumbnail, version
from tests.unit.policies.running import replay, run


class Store(HeldFiles):
    """Files that can't be removed as long as `away`."""

    away: Exception | None = None

    def delete(self, path: str, key: str) -> None:
        if self.away is not None:
            raise self.away
        super().delete(path, key)


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog()


@pytest.fixture
def store() -> Store:
    store = Store()
    store.files = {(f"files/{number}.fits", f"key-{number}"): b"" for number in (1, 2, 3)}
    store.files |= {(f"thumbnails/{number}.jpg", f"picture-{number}"): b"" for number in (8, 9)}
    return store


@pytest.fixture
def effect(log: MemoryEventLog, store: Store) -> RemoveDeletedFiles:
    return RemoveDeletedFiles(store, log, StillClock())


def ingest(log: MemoryEventLog, *versions: FrameVersion) -> None:
    claims = [claim for one in versions for claim in frames.claims_of(one)]
    record(log, "frame:m31", file_processed("m31", *versions), claims=claims)


def add_thumbnail(log: MemoryEventLog, number: int, *events: Event) -> None:
    added = ThumbnailAdded(frame_id=1000, thumbnail=thumbnail(number))
    record(log, "frame:m31", added, *events, claims=[claim_of(f"small-{number}")])


def test_the_bytes_of_a_delivered_version_go_and_its_names_stay_taken(
    log: MemoryEventLog, store: Store, effect: RemoveDeletedFiles
) -> None:
    ingest(log, version(1), version(2))
    run(effect, log)
    assert len(store.files) == 5
    left = FileDeletedFromServer(frame_id=1000, version_id=1, path="files/1.fits", key="key-1", justified_by=("v1-a",))
    record(log, "frame:m31", left)
    assert run(effect, log) == []
    assert ("files/1.fits", "key-1") not in store.files
    assert len(store.files) == 4
    assert log.claimed(["key:key-1"])
    replay(effect, log)
    assert len(store.files) == 4


def test_a38_a_deleted_frame_takes_all_its_bytes_along_and_frees_its_names(
    log: MemoryEventLog, store: Store, effect: RemoveDeletedFiles
) -> None:
    ingest(log, version(1), version(2))
    add_thumbnail(log, 8)
    names = [*frames.claims_of(version(1)), *frames.claims_of(version(2)), claim_of("small-8")]
    record(log, "frame:m31", *frames.delete(frames.fold(log.load("frame:m31"))))
    assert len(log.claimed(names)) == 5, "nobody may take them before the bytes are gone"
    assert run(effect, log) == [FilesRemoved(deletion=3)]
    assert list(store.files) == [("files/3.fits", "key-3"), ("thumbnails/9.jpg", "picture-9")]
    assert not log.claimed(names)
    ingest(log, version(1))
    with pytest.raises(AlreadyExists):
        ingest(log, version(1))


def test_a38_the_same_bytes_ingested_anew_are_safe_from_the_old_deletion(
    log: MemoryEventLog, store: Store, effect: RemoveDeletedFiles
) -> None:
    ingest(log, version(1))
    record(log, "frame:m31", *frames.delete(frames.fold(log.load("frame:m31"))))
    run(effect, log)
    ingest(log, version(1))
    store.files["files/1.fits", "key-1"] = b"new"
    assert replay(effect, log) == []
    assert store.files["files/1.fits", "key-1"] == b"new"
    assert log.claimed(["key:key-1"])
    record(log, "frame:m31", *frames.delete(frames.fold(log.load("frame:m31"))))
    assert run(effect, log) == [FilesRemoved(deletion=5)], "the second deletion stands for itself"
    assert ("files/1.fits", "key-1") not in store.files


def test_a38_bytes_ingested_anew_are_safe_from_what_came_before_the_deletion(
    log: MemoryEventLog, store: Store, effect: RemoveDeletedFiles
) -> None:
    """A process that dies behind the deletion of a frame handles what came before it once more (tests/simulation)."""
    ingest(log, version(1))
    left = FileDeletedFromServer(frame_id=1000, version_id=1, path="files/1.fits", key="key-1", justified_by=("v1-a",))
    record(log, "frame:m31", left)
    record(log, "frame:m31", *frames.delete(frames.fold(log.load("frame:m31"))))
    assert run(effect, log) == [FilesRemoved(deletion=3)]
    ingest(log, version(1))
    store.files["files/1.fits", "key-1"] = b"new"
    assert replay(effect, log) == []
    assert store.files["files/1.fits", "key-1"] == b"new"


def test_a38_a_store_that_is_away_keeps_the_names_taken(
    log: MemoryEventLog, store: Store, effect: RemoveDeletedFiles
) -> None:
    ingest(log, version(1))
    record(log, "frame:m31", FrameDeleted(frame_id=1000, versions=(version(1),)))
    store.away = RetryLater("S3 is away.")
    with pytest.raises(RetryLater):
        run(effect, log)
    assert log.claimed(["key:key-1"])
    store.away = None
    assert run(effect, log) == [FilesRemoved(deletion=2)]


def test_a38_a_path_that_no_store_has_does_not_stop_the_deletion(
    log: MemoryEventLog, store: Store, effect: RemoveDeletedFiles
) -> None:
    ingest(log, version(1))
    record(log, "frame:m31", FrameDeleted(frame_id=1000, versions=(version(1),)))
    store.away = InvalidInput("The path must be relative.")
    assert run(effect, log) == [FilesRemoved(deletion=2)]
    assert not log.claimed(["key:key-1"])


def test_a40_a_removed_thumbnail_takes_its_bytes_along(
    log: MemoryEventLog, store: Store, effect: RemoveDeletedFiles
) -> None:
    ingest(log, version(1))
    add_thumbnail(log, 8, ThumbnailRemoved(frame_id=1000, thumbnail=thumbnail(8)))
    assert run(effect, log) == [FilesRemoved(deletion=3)]
    assert ("thumbnails/8.jpg", "picture-8") not in store.files
    assert not log.claimed([claim_of("small-8")])


def test_a40_a_thumbnail_that_moved_keeps_its_bytes(
    log: MemoryEventLog, store: Store, effect: RemoveDeletedFiles
) -> None:
    ingest(log, version(1))
    add_thumbnail(log, 8, ThumbnailRemoved(frame_id=1000, thumbnail=thumbnail(8), moved_to="m33"))
    assert run(effect, log) == []
    assert len(store.files) == 5


def test_a40_a_replaced_thumbnail_leaves_the_store_unless_it_came_back(
    log: MemoryEventLog, store: Store, effect: RemoveDeletedFiles
) -> None:
    ingest(log, version(1))
    add_thumbnail(log, 8)
    other = thumbnail(8, "small-8", key="other")
    back = ThumbnailAdded(frame_id=1000, thumbnail=thumbnail(8), replaced=other)
    record(log, "frame:m31", ThumbnailAdded(frame_id=1000, thumbnail=other, replaced=thumbnail(8)), back)
    run(effect, log)
    assert len(store.files) == 5, "it is in use again"
    record(log, "frame:m31", ThumbnailAdded(frame_id=1000, thumbnail=other, replaced=thumbnail(8)))
    run(effect, log)
    assert ("thumbnails/8.jpg", "picture-8") not in store.files


def test_two_that_remove_the_same_bytes_record_it_once(log: MemoryEventLog, store: Store) -> None:
    class Overtaken(MemoryEventLog):
        """A log in which another process is always faster, once."""

        once = True

        def append(self, commit: Commit) -> int:
            if self.once and isinstance(commit.writes[0].events[0], FilesRemoved):
                self.once = False
                super().append(commit)
            return super().append(commit)

    log = Overtaken()
    ingest(log, version(1))
    log.append(
        Commit(
            writes=(Write("frame:m31", 1, (FrameDeleted(frame_id=1000, versions=(version(1),)),)),),
            cause=CAUSE,
            at=NOON,
        )
    )
    assert run(RemoveDeletedFiles(store, log, StillClock()), log) == [FilesRemoved(deletion=2)]


def test_nothing_is_removed_without_an_event_that_says_so(
    log: MemoryEventLog, store: Store, effect: RemoveDeletedFiles
) -> None:
    arrived(log, file_processed("m31", version(1)))
    add_thumbnail(log, 8)
    assert run(effect, log) == []
    assert len(store.files) == 5
