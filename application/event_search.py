"""Searches the log by what surrounds events: kind, who, when, which request. Never passes over one that is to come."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import msgspec

from application.ports.audit import EventFilter, EventIndex
from application.ports.event_log import EventLog
from domain.event import Recorded

SLACK = timedelta(minutes=5)
"""An event's time is taken before the log gives it a position, by the clock of one of several hosts. Neighbours may be
this much out of order, and are found by time all the same."""

LAST = 2**63 - 1


class Found(msgspec.Struct, frozen=True):
    """Wanted events in the order asked for. `next` is where to go on: all wanted events up to there (newest first: from
    there on) have been given."""

    events: Sequence[Recorded]
    next: int


class EventSearch(msgspec.Struct, frozen=True):
    """Safe to share between threads. Every method may raise RetryLater."""

    log: EventLog
    index: EventIndex

    def forward(self, wanted: EventFilter, *, after: int = 0, upto: int = LAST, limit: int, at_least: int = 0) -> Found:
        """The next wanted events after a position, as far as they are known; up to `at_least` they must be."""
        if wanted.wants_all:
            batch = self.log.read(after, limit, upto=upto)
            return Found(batch.events, batch.upto)
        if wanted.stream:
            return self._of_stream(wanted, after, upto, limit)
        upto = min(upto, self.index.reached(at_least))
        start, end = self._between(wanted, after, upto)
        positions = self.index.positions(wanted, after=start, upto=end, limit=limit)
        return Found(self._wanted(wanted, positions), positions[-1] if len(positions) == limit else max(after, upto))

    def backward(
        self, wanted: EventFilter, *, before: int = LAST, after: int = 0, limit: int, at_least: int = 0
    ) -> Found:
        """The latest wanted events before a position and after another, newest first. Nothing more is to come when
        `next` is `after`."""
        if wanted.stream:
            history = [one for one in self.log.load(wanted.stream) if after < one.position < before]
            found = [one for one in reversed(history) if wanted.admits(one)]
            return Found(found[:limit], found[limit - 1].position if len(found) > limit else after)
        start, end = self._between(wanted, after, min(before - 1, self.index.reached(at_least)))
        positions = self.index.positions(wanted, after=start, upto=end, limit=limit, newest_first=True)
        events = list(reversed(self._wanted(wanted, positions)))
        return Found(events, positions[-1] if len(positions) == limit else after)

    def _of_stream(self, wanted: EventFilter, after: int, upto: int, limit: int) -> Found:
        head = self.log.head()  # asked before: what comes later isn't promised
        history = [one for one in self.log.load(wanted.stream) if after < one.position <= min(upto, head)]
        found = [one for one in history if wanted.admits(one)]
        return Found(found[:limit], found[limit - 1].position if len(found) > limit else max(after, min(upto, head)))

    def _between(self, wanted: EventFilter, after: int, upto: int) -> tuple[int, int]:
        """The same stretch without what lies far outside of the times."""
        with suppress(OverflowError):  # the first and the last minutes of the calendar
            if wanted.since is not None:
                after = max(after, self.index.before(wanted.since - SLACK, upto))
            if wanted.until is not None:
                upto = min(upto, self.index.before(wanted.until + SLACK, upto))
        return after, upto

    def _wanted(self, wanted: EventFilter, positions: Sequence[int]) -> list[Recorded]:
        return [recorded for recorded in self.log.load_at(positions) if wanted.admits(recorded)]
