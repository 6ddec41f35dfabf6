"""Records of transfers that were completed long ago leave the read model (S56); their events stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.lookups import TransferLookup
from application.transact import transact
from domain.event import Cause, Event, Recorded
from domain.transfer_events import TransferRecordsExpired
from domain.transfers import UPKEEP_STREAM


class TransferExpiry(msgspec.Struct, frozen=True, kw_only=True):
    """Says once a day, as an event, up to which day records leave; `days` after completion, or never (None).

    Whoever applies the event, now or in a rebuild years later with another setting, drops the same rows.
    """

    log: EventLog
    lookup: TransferLookup
    clock: Clock
    days: int | None
    new_correlation: Callable[[], str]

    def run(self) -> int:
        """Let go what is due and return how many records that is. Safe at any time, by any number of workers."""
        if self.days is None:
            return 0
        now = self.clock.now()
        before = midnight(now) - timedelta(days=self.days)
        due = self.lookup.expired_records(before)
        if due:
            why = Cause(actor="upkeep", via="worker", correlation=self.new_correlation())
            transact(self.log, UPKEEP_STREAM, lambda history: _decide(history, before), cause=why, now=now)
        return due


def midnight(moment: datetime) -> datetime:
    """The beginning of the day, in UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _decide(history: Sequence[Recorded], before: datetime) -> tuple[Event, ...]:
    told = history[-1].event if history else None
    if isinstance(told, TransferRecordsExpired) and told.completed_before >= before:
        return ()  # the read model hasn't heard of it yet
    return (TransferRecordsExpired(completed_before=before),)
