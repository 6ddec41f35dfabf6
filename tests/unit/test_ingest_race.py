"""Whoever is told that a file is in the archive can rely on its bytes being there, whatever others do meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from adapters.event_store.memory import MemoryEventLog
from application.commands.ingest import ingest_file
from application.policies.remove_deleted_files import RemoveDeletedFiles
from application.ports.event_log import Commit
from application.ports.file_store import Staged, Stored
from application.ports.frame_reader import Described
from domain import frames
from domain.frame_record import FrameRecord
from tests.fakes.clock import StillClock
from tests.fakes.file_store import HeldFiles
from tests.fakes.samples import CAUSE, hashes_of, record
from tests.unit.policies.running import run

DATA = b"the same bytes"


class InterruptedLog(MemoryEventLog):
    """Something else happens before the next append, once."""

    before: Callable[[], None] | None = None

    def append(self, commit: Commit) -> int:
        before, self.before = self.before, None
        if before:
            before()
        return super().append(commit)


class KeepingFiles(HeldFiles):
    """Names a version by its md5, as a directory does."""

    def keep(self, staged: Staged, path: str, **_: Any) -> Stored:
        self.files[path, staged.hashes.md5] = DATA
        return Stored(path, staged.hashes.md5)


class Reader:
    def describe(self, file: Path, filename: str, metadata: Mapping[str, Any] | None = None) -> Described:
        return Described(FrameRecord(basename="m31"), {}, ".fits", "night/m31.fits")


class Numbers:
    def __init__(self) -> None:
        self._next = count(1)

    def take(self) -> int:
        return next(self._next)


def test_bytes_that_left_with_a_deleted_frame_while_they_were_ingested_once_more_are_there() -> None:
    """Found by tests/simulation: two ingests of the same bytes, of which one is slow, and a deletion in between."""
    log, store, numbers, clock = InterruptedLog(), KeepingFiles(), Numbers(), StillClock()
    staged = Staged(Path("staged"), len(DATA), hashes_of(DATA))

    def ingest() -> None:
        ingest_file(
            staged, "m31.fits", reader=Reader(), store=store, log=log, numbers=numbers, clock=clock, cause=CAUSE
        )

    def somebody_is_faster_and_the_frame_is_deleted() -> None:
        ingest()
        record(log, "frame:m31", *frames.delete(frames.fold(log.load("frame:m31"))))
        run(RemoveDeletedFiles(store, log, clock), log)
        assert not store.files

    log.before = somebody_is_faster_and_the_frame_is_deleted
    ingest()
    frame = frames.fold(log.load("frame:m31"))
    assert frame.newest is not None
    assert store.files[frame.newest.path, frame.newest.key] == DATA
