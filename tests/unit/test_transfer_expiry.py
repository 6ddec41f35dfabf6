"""Records of transfers leave 90 days after completion (S56)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.transfer_expiry import TransferExpiry
from domain import transfers
from domain.errors import NotAllowedNow
from domain.event import Event
from domain.transfer_events import (
    TransferCancelled,
    TransferChecked,
    TransferCheckRequested,
    TransferCleared,
    TransferFailed,
    TransferRecordsExpired,
    TransferRetried,
)
from domain.transfers import UPKEEP_STREAM
from tests.fakes.clock import NOON, StillClock
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import completed, record, recorded, started, transfer_requested

FAILED = TransferFailed(attempt=1, reason="r", error="e")


class Calendar:
    """One transfer completed at noon on 1 March, and the days that go by."""

    def __init__(self, days: int | None = 90) -> None:
        self.log = MemoryEventLog()
        self.clock = StillClock()
        lookup = LogLookups(self.log, self.clock)
        self.expiry = TransferExpiry(
            log=self.log, lookup=lookup, clock=self.clock, days=days, new_correlation=lambda: "run"
        )
        record(self.log, "transfer:v7-a", transfer_requested(7, "a"), started(), completed(), at=NOON)

    @property
    def told(self) -> list[Event]:
        return [one.event for one in self.log.load(UPKEEP_STREAM)]


def test_s56_a_record_leaves_at_the_midnight_after_90_days() -> None:
    calendar = Calendar()
    calendar.clock.forward(days=90)
    assert calendar.expiry.run() == 0
    assert calendar.told == []
    calendar.clock.forward(hours=11, minutes=59)
    assert calendar.expiry.run() == 0
    calendar.clock.forward(minutes=1)
    assert calendar.expiry.run() == 1
    assert calendar.told == [TransferRecordsExpired(completed_before=datetime(2026, 3, 2, tzinfo=UTC))]


def test_s56_one_day_is_told_once_however_many_workers_look() -> None:
    calendar = Calendar()
    calendar.clock.forward(days=91)
    for _ in range(3):
        calendar.expiry.run()
    assert len(calendar.told) == 1
    calendar.clock.forward(days=1)
    calendar.expiry.run()
    assert len(calendar.told) == 2


def test_s56_without_a_number_of_days_records_stay_for_ever() -> None:
    calendar = Calendar(days=None)
    calendar.clock.forward(days=10_000)
    assert calendar.expiry.run() == 0
    assert calendar.told == []


@pytest.mark.parametrize(
    "events",
    [
        (TransferCheckRequested(),),
        (TransferCheckRequested(), TransferChecked(outcome="missing")),
        (TransferCheckRequested(), TransferChecked(outcome="changed")),
    ],
)
def test_s56_a_copy_that_is_lost_or_being_checked_keeps_its_record(events: tuple[Event, ...]) -> None:
    calendar = Calendar()
    record(calendar.log, "transfer:v7-a", *events)
    calendar.clock.forward(days=100)
    assert calendar.expiry.run() == 0


def fold(*events: Event) -> transfers.Transfer:
    return transfers.fold(recorded(transfer_requested(7, "a"), *events))


def test_s56_a_failed_transfer_is_cleared_once_and_is_as_failed_as_before() -> None:
    failed = fold(started(), FAILED)
    assert transfers.clear(failed) == (TransferCleared(),)
    cleared = fold(started(), FAILED, TransferCleared())
    assert transfers.clear(cleared) == ()
    assert (cleared.status, cleared.cleared, cleared.delivered) == ("failed", True, False)
    assert transfers.retry(cleared) == (TransferRetried(),)
    assert not fold(started(), FAILED, TransferCleared(), TransferRetried()).cleared


def test_s56_a_lost_copy_can_be_cleared() -> None:
    lost = fold(started(), completed(), TransferCheckRequested(), TransferChecked(outcome="changed"))
    assert transfers.clear(lost) == (TransferCleared(),)


@pytest.mark.parametrize("events", [(), (started(),), (started(), completed()), (TransferCancelled(reason="r"),)])
def test_s56_nothing_else_can_be_cleared(events: tuple[Event, ...]) -> None:
    with pytest.raises(NotAllowedNow):
        transfers.clear(fold(*events))
