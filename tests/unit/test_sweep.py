"""Stuck never means lost (S57)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.sweep import Sweep
from domain import storage_configs, transfers
from domain.event import Event, Recorded
from domain.storage_configs import (
    StorageConfigAuthorizationLost,
    StorageConfigDeleted,
    StorageConfigPaused,
    StorageConfigResumed,
)
from domain.transfer_events import (
    TransferAttemptFailed,
    TransferCheckFailed,
    TransferCheckRequested,
    TransferHeld,
    TransferInterrupted,
    TransferReleased,
)
from tests.fakes.clock import NOON, StillClock
from tests.fakes.jobs import ListedJobs, NamedWorkers
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import completed, configured, record, started, transfer_requested, transfer_state

HELD = TransferHeld(reason="r")


class Yard:
    """A sweep with what it needs: destination `a`, and a living worker `alive`."""

    def __init__(self) -> None:
        self.log = MemoryEventLog()
        self.clock = StillClock()
        self.jobs = ListedJobs()
        self.lookups = LogLookups(self.log, self.clock)
        self.sweep = Sweep(
            log=self.log, lookup=self.lookups, workers=NamedWorkers("alive"), jobs=self.jobs, clock=self.clock
        )
        configured(self.log, "a")

    def transfer(self, number: int, *events: Event, config: str = "a") -> str:
        requested = transfer_requested(number, config)
        record(self.log, transfers.stream_of(requested.id), requested, *events)
        return requested.id

    def last(self, transfer: str) -> Event:
        return self.log.load(transfers.stream_of(transfer))[-1].event

    def destination(self, *events: Event, config: str = "a") -> None:
        record(self.log, storage_configs.stream_of(config), *events)


@pytest.fixture
def yard() -> Yard:
    return Yard()


def test_nothing_stuck_is_nothing_to_do(yard: Yard) -> None:
    yard.transfer(1, started(1, "alive"))
    yard.transfer(2, started(), completed())
    head = yard.log.head()
    assert yard.sweep.run() == {"interrupted": 0, "resumed": 0, "released": 0, "nudged": 0}
    assert (yard.log.head(), yard.jobs.nudges) == (head, [])


def test_s49_what_a_dead_worker_held_goes_on_at_once_without_using_up_an_attempt(yard: Yard) -> None:
    orphan = yard.transfer(1, started(1, "dead"))
    kept = yard.transfer(2, started(1, "alive"))
    assert yard.sweep.run()["interrupted"] == 1
    assert yard.last(orphan) == TransferInterrupted(attempt=1, reason="The worker was lost.")
    assert yard.last(kept) == started(1, "alive")
    assert transfer_state(yard.log, orphan).failures == 0
    assert yard.jobs.nudges == [(orphan, None)]
    assert yard.log.load(transfers.stream_of(orphan))[-1].cause.actor == "sweep"


def test_an_attempt_that_was_taken_over_meanwhile_is_left_alone(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = yard.transfer(1, started(1, "dead"), TransferInterrupted(attempt=1, reason="lost"), started(2, "alive"))
    monkeypatch.setattr(yard.lookups, "running_transfers", lambda: [(moved, 1, "dead")])
    yard.sweep.run()
    assert yard.last(moved) == started(2, "alive")


def test_s46_a_pause_that_has_run_out_ends(yard: Yard) -> None:
    yard.destination(StorageConfigPaused(reason="Full.", until=NOON + timedelta(hours=1)))
    waiting = yard.transfer(1, HELD)
    assert yard.sweep.run()["resumed"] == 0
    assert yard.last(waiting) == HELD
    yard.clock.forward(hours=1)
    assert yard.sweep.run()["resumed"] == 1
    assert yard.log.load("storage_config:a")[-1].event == StorageConfigResumed()
    assert yard.last(waiting) == TransferReleased()


def test_a_destination_that_was_found_full_again_meanwhile_stays_paused(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = StorageConfigPaused(reason="Full.", until=NOON + timedelta(hours=1))
    yard.destination(StorageConfigPaused(reason="Full.", until=NOON), StorageConfigResumed(), again)
    monkeypatch.setattr(yard.lookups, "paused_configs", lambda: ["a"])
    yard.sweep.run()
    assert yard.log.load("storage_config:a")[-1].event == again


def test_a_transfer_held_in_the_moment_its_destination_came_back_is_released(yard: Yard) -> None:
    late = yard.transfer(1, HELD)
    assert yard.sweep.run()["released"] == 1
    assert yard.last(late) == TransferReleased()
    assert yard.jobs.nudges == [(late, None)]


def test_a_transfer_whose_destination_still_needs_its_owner_stays_held(yard: Yard) -> None:
    yard.destination(StorageConfigAuthorizationLost(reason="r"))
    waiting = yard.transfer(1, HELD)
    assert yard.sweep.run()["released"] == 0
    assert yard.last(waiting) == HELD


def test_a_held_transfer_of_a_deleted_destination_is_handed_to_a_worker_that_cancels_it(yard: Yard) -> None:
    yard.destination(StorageConfigAuthorizationLost(reason="r"), StorageConfigDeleted())
    left_over = yard.transfer(1, HELD)
    yard.sweep.run()
    assert yard.jobs.nudges == [(left_over, None)]


def test_many_held_transfers_cost_one_look_at_their_destination(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.destination(StorageConfigAuthorizationLost(reason="r"))
    for number in range(20):
        yard.transfer(number, HELD)
    held = yard.lookups.held_transfers()
    for name in ("held_transfers", "running_transfers", "due_transfers", "paused_configs"):
        answer = held if name == "held_transfers" else []
        monkeypatch.setattr(yard.lookups, name, lambda answer=answer: answer)
    loaded: list[str] = []
    load = yard.log.load

    def noted(stream: str) -> Sequence[Recorded]:
        loaded.append(stream)
        return load(stream)

    monkeypatch.setattr(yard.log, "load", noted)
    yard.sweep.run()
    assert loaded == ["storage_config:a"]


def test_s57_what_is_due_is_nudged_and_what_is_not_is_left(yard: Yard) -> None:
    due = yard.transfer(1)
    failed = TransferAttemptFailed(
        attempt=1, failures=1, reason="r", error="e", next_attempt_at=NOON + timedelta(minutes=5)
    )
    later = yard.transfer(2, started(), failed)
    assert yard.sweep.run()["nudged"] == 1
    yard.clock.forward(minutes=5)
    yard.sweep.run()
    assert yard.jobs.nudges == [(due, None), (due, None), (later, None)]


def test_sweeping_twice_changes_nothing_more(yard: Yard) -> None:
    yard.transfer(1, started(1, "dead"))
    yard.destination(StorageConfigPaused(reason="Full.", until=NOON))
    yard.transfer(2, HELD)
    yard.sweep.run()
    head = yard.log.head()
    yard.sweep.run()
    assert yard.log.head() == head


def test_s60_a_check_that_no_worker_heard_of_is_nudged_when_it_is_due(yard: Yard) -> None:
    asked = yard.transfer(1, started(), completed(), TransferCheckRequested())
    later = NOON + timedelta(minutes=5)
    failed = TransferCheckFailed(failures=1, reason="r", error="e", next_check_at=later)
    waiting = yard.transfer(2, started(), completed(), TransferCheckRequested(), failed)
    assert yard.sweep.run()["nudged"] == 1
    yard.clock.forward(minutes=5)
    yard.sweep.run()
    assert yard.jobs.nudges == [(asked, None), (asked, None), (waiting, None)]
