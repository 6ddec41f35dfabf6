"""What follows from events outside the log."""

from __future__ import annotations

from datetime import timedelta

from adapters.event_store.memory import MemoryEventLog
from application.policies.effects import NudgeWorkers, RemoveDeletedFiles
from domain.event import Event
from domain.frames import FileDeletedFromServer, FrameDeleted
from domain.transfers import (
    TransferAttemptFailed,
    TransferCancelled,
    TransferCheckpointed,
    TransferFailed,
    TransferHeld,
    TransferInterrupted,
    TransferReleased,
    TransferRetried,
)
from tests.fakes.clock import NOON
from tests.fakes.file_store import HeldFiles
from tests.fakes.jobs import ListedJobs
from tests.fakes.samples import arrived, completed, file_processed, record, started, transfer_requested, version
from tests.unit.policies.running import replay, run

LATER = NOON + timedelta(minutes=5)
FAILED = TransferAttemptFailed(attempt=1, failures=1, reason="r", error="e", next_attempt_at=LATER)


def nudges_after(*events: Event) -> list[object]:
    log, jobs = MemoryEventLog(), ListedJobs()
    record(log, "transfer:v7-a", *events)
    assert run(NudgeWorkers(jobs), log) == []
    return list(jobs.nudges)


def test_whatever_makes_a_transfer_due_wakes_a_worker_at_once() -> None:
    for event in (
        transfer_requested(7, "a"),
        TransferRetried(),
        TransferReleased(),
        TransferInterrupted(attempt=1, reason="lost"),
    ):
        assert nudges_after(event) == [("v7-a", None)]


def test_a_failed_attempt_wakes_a_worker_when_the_wait_is_over() -> None:
    assert nudges_after(FAILED) == [("v7-a", LATER)]


def test_nothing_else_wakes_anybody() -> None:
    assert (
        nudges_after(
            started(),
            TransferCheckpointed(attempt=1, bytes_sent=1),
            TransferHeld(reason="r"),
            TransferFailed(attempt=1, reason="r", error="e"),
            TransferCancelled(reason="r"),
            completed(),
        )
        == []
    )


def test_the_bytes_go_once_the_log_says_so() -> None:
    log, store = MemoryEventLog(), HeldFiles()
    store.files = {("files/1.fits", "key-1"): b"1", ("files/2.fits", "key-2"): b"2"}
    arrived(log, file_processed("m31", version(1), version(2)))
    run(RemoveDeletedFiles(store), log)
    assert len(store.files) == 2
    left = FileDeletedFromServer(frame_id=1000, version_id=1, path="files/1.fits", key="key-1", justified_by=("v1-a",))
    record(log, "frame:m31", left)
    run(RemoveDeletedFiles(store), log)
    assert store.files == {("files/2.fits", "key-2"): b"2"}
    replay(RemoveDeletedFiles(store), log)
    assert store.files == {("files/2.fits", "key-2"): b"2"}


def test_an_operators_deletion_takes_all_versions() -> None:
    log, store = MemoryEventLog(), HeldFiles()
    store.files = {("files/1.fits", "key-1"): b"1", ("files/2.fits", "key-2"): b"2", ("files/3.fits", "key-3"): b"3"}
    record(log, "frame:m31", FrameDeleted(frame_id=1, versions=(version(1), version(2))))
    run(RemoveDeletedFiles(store), log)
    assert list(store.files) == [("files/3.fits", "key-3")]
