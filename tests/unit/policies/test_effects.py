"""What follows from events outside the log."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from adapters.event_store.memory import MemoryEventLog
from application.policies.effects import NudgeWorkers
from domain.event import Event
from domain.transfer_events import (
    TransferAttemptFailed,
    TransferCancelled,
    TransferChecked,
    TransferCheckFailed,
    TransferCheckpointed,
    TransferCheckRequested,
    TransferFailed,
    TransferHeld,
    TransferInterrupted,
    TransferReleased,
    TransferRetried,
)
from tests.fakes.clock import NOON
from tests.fakes.jobs import ListedJobs
from tests.fakes.samples import completed, record, started, transfer_requested
from tests.unit.policies.running import run

LATER = NOON + timedelta(minutes=5)
FAILED = TransferAttemptFailed(attempt=1, failures=1, reason="r", error="e", next_attempt_at=LATER)


def nudges_after(*events: Event) -> list[object]:
    log, jobs = MemoryEventLog(), ListedJobs()
    record(log, "transfer:v7-a", *events)
    assert run(NudgeWorkers(jobs, log), log) == []
    return list(jobs.nudges)


def test_whatever_makes_a_transfer_due_wakes_a_worker_at_once() -> None:
    for event in (
        transfer_requested(7, "a"),
        TransferRetried(),
        TransferReleased(),
        TransferInterrupted(attempt=1, reason="lost"),
        TransferCheckRequested(),
    ):
        assert nudges_after(event) == [("v7-a", None)]


def test_how_large_the_file_is_is_told_where_it_is_known() -> None:
    log, jobs = MemoryEventLog(), ListedJobs()
    for number, size in ((7, 1000), (8, None)):
        requested = msgspec.structs.replace(transfer_requested(number, "a"), size=size)
        record(log, f"transfer:v{number}-a", requested)
    assert run(NudgeWorkers(jobs, log), log) == []
    assert jobs.sizes == {"v7-a": 1000}


@pytest.mark.parametrize("event", [TransferReleased(), TransferInterrupted(attempt=1, reason="lost"), FAILED])
def test_it_is_told_too_of_those_that_have_waited_already(event: Event) -> None:
    log, jobs = MemoryEventLog(), ListedJobs()
    record(log, "transfer:v7-a", msgspec.structs.replace(transfer_requested(7, "a"), size=1000))
    nudge = NudgeWorkers(jobs, log)
    record(log, "transfer:v7-a", event)
    nudge.act(log.load("transfer:v7-a")[1:])
    assert jobs.sizes == {"v7-a": 1000}


def test_a_copy_that_is_to_be_checked_is_looked_at_alone() -> None:
    log, jobs = MemoryEventLog(), ListedJobs()
    record(log, "transfer:v7-a", transfer_requested(7, "a"), TransferCheckRequested())
    NudgeWorkers(jobs, log).act(log.load("transfer:v7-a")[1:])
    assert (jobs.nudges, jobs.sizes) == ([("v7-a", None)], {})


def test_a_failed_attempt_wakes_a_worker_when_the_wait_is_over() -> None:
    assert nudges_after(FAILED) == [("v7-a", LATER)]
    assert nudges_after(TransferCheckFailed(failures=1, reason="r", error="e", next_check_at=LATER)) == [
        ("v7-a", LATER)
    ]


def test_nothing_else_wakes_anybody() -> None:
    assert (
        nudges_after(
            started(),
            TransferCheckpointed(attempt=1, bytes_sent=1),
            TransferHeld(reason="r"),
            TransferFailed(attempt=1, reason="r", error="e"),
            TransferCancelled(reason="r"),
            completed(),
            TransferChecked(outcome="missing"),
            TransferCheckFailed(failures=4, reason="r", error="e"),
        )
        == []
    )
