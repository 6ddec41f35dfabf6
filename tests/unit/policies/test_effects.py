"""What follows from events outside the log."""

from __future__ import annotations

from datetime import timedelta

from adapters.event_store.memory import MemoryEventLog
from application.policies.effects import NudgeWorkers
from domain.event import Event
from domain.transfers import (
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
    assert run(NudgeWorkers(jobs), log) == []
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
