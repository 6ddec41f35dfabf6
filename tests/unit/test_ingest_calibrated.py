"""A calibrated file joins its raw frame (S61)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.commands.ingest import Ingested, ingest_file
from application.ports.file_store import Staged, Stored
from application.ports.frame_reader import Described
from domain.errors import AlreadyExists, NotFound
from domain.frame_record import FrameRecord
from tests.fakes.clock import StillClock
from tests.fakes.file_store import HeldFiles
from tests.fakes.samples import CAUSE, arrived, file_processed, hashes_of, version

DATA = b"calibrated"


class KeepingFiles(HeldFiles):
    """Keeps everything it is given."""

    def keep(self, staged: Staged, path: str, **_: Any) -> Stored:
        self.files[path, "key"] = DATA
        return Stored(path, "key")


class Reader:
    """Says of every file that it is this record."""

    def __init__(self, number: int | None) -> None:
        self._number = number

    def describe(self, file: Path, filename: str, metadata: Mapping[str, Any] | None = None) -> Described:
        record = FrameRecord(basename="m31-e91", observation_id=self._number)
        return Described(record, {}, ".fits", "somewhere/m31-e91.fits")


class Counter:
    """Implements Numbers."""

    def __init__(self) -> None:
        self._next = itertools.count(100)

    def take(self) -> int:
        return next(self._next)


@pytest.fixture
def log() -> MemoryEventLog:
    log = MemoryEventLog()
    arrived(log, file_processed("m31", version(1), observation="obs"))
    return log


def ingest(
    log: MemoryEventLog,
    *,
    number: int | None = None,
    observation: str | None = None,
    calibrated_from: str | None = "m31",
    store: KeepingFiles | None = None,
) -> Ingested:
    return ingest_file(
        Staged(Path("staged"), len(DATA), hashes_of(DATA)),
        "m31-e91.fits",
        reader=Reader(number),
        store=store or KeepingFiles(),
        log=log,
        numbers=Counter(),
        clock=StillClock(),
        cause=CAUSE,
        observation=observation,
        calibrated_from=calibrated_from,
    )


def test_a_calibrated_file_that_names_no_observation_belongs_to_its_raw_frames(log: MemoryEventLog) -> None:
    frame = ingest(log).frame
    assert (frame.observation, frame.calibrated_from) == ("obs", "m31")
    assert frame.record is not None
    assert frame.record.related == ("m31",)


def test_an_observation_that_is_given_or_in_the_headers_counts_more(log: MemoryEventLog) -> None:
    assert ingest(log, observation="other").frame.observation == "other"
    log = MemoryEventLog()
    arrived(log, file_processed("m31", version(1), observation="obs"))
    assert ingest(log, number=7).frame.observation == "7"


def test_a_raw_frame_that_is_not_there_is_refused_and_nothing_is_kept(log: MemoryEventLog) -> None:
    store = KeepingFiles()
    with pytest.raises(NotFound, match="m99"):
        ingest(log, calibrated_from="m99", store=store)
    assert store.files == {}


def test_the_same_bytes_again_are_refused(log: MemoryEventLog) -> None:
    ingest(log)
    with pytest.raises(AlreadyExists):
        ingest(log)
