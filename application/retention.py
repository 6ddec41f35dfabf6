"""Frames that an operator's rules say are old enough go; what a destination is still to get stays, however old."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from application.commands.delete_frames import BATCH, Fate, FrameDeletion
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.frame_finder import FrameFinder
from domain.event import Cause
from domain.retention import RetentionRule

PAUSE = timedelta(hours=1)
"""Between two looks at a rule: its frames are days old."""

BATCHES = 20
"""At a time in a worker, which has more urgent things to look after."""


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Carries out rules."""

    log: EventLog
    finder: FrameFinder
    clock: Clock
    rules: Sequence[RetentionRule]

    def fates(self, rule: RetentionRule, cause: Cause, *, dry_run: bool = False) -> Iterator[list[Fate]]:
        """What becomes of the frames that are due by a rule, some at a time, in the order of their ids; they are
        deleted as the iteration goes on, unless it is a dry run. The rule becomes the reason of `cause`. Raises
        RetryLater."""
        selection = rule.selection(self.clock.now())
        deletion = FrameDeletion(
            log=self.log,
            finder=self.finder,
            clock=self.clock,
            cause=msgspec.structs.replace(cause, reason=rule.described()),
            selection=selection,
            spare_wanted=True,
            dry_run=dry_run,
        )
        after = 0
        while found := self.finder.find(selection, after=after, limit=BATCH):
            after = found[-1].id
            yield deletion.run(found)


class PeriodicRetention:
    """What a worker does about the rules now and then: each rule once an hour, a bounded number of frames at a call.

    `alone` runs a piece of work unless another worker is at it; what one look at a rule leads to has one correlation.
    Belongs to one thread.
    """

    def __init__(
        self, retention: Retention, alone: Callable[[Callable[[], int]], int], new_correlation: Callable[[], str]
    ) -> None:
        self._retention = retention
        self._alone = alone
        self._new_correlation = new_correlation
        self._due: dict[str, datetime] = {}
        self._under_way: dict[str, Iterator[list[Fate]]] = {}

    def run(self) -> int:
        """Delete what is due, and return how many frames that were. Raises RetryLater."""
        return self._alone(self._run) if self._retention.rules else 0

    def _run(self) -> int:
        deleted = 0
        now = self._retention.clock.now()
        for rule in self._retention.rules:
            if rule.name not in self._under_way:
                if self._due.get(rule.name, now) > now:
                    continue
                actor = f"retention:{rule.name}"
                cause = Cause(actor=actor, via="worker", correlation=self._new_correlation())
                self._under_way[rule.name] = self._retention.fates(rule, cause)
            deleted += self._some(rule, now)
        return deleted

    def _some(self, rule: RetentionRule, now: datetime) -> int:
        deleted = 0
        under_way = self._under_way.pop(rule.name)  # an error ends it: the next call begins anew
        for _ in range(BATCHES):
            fates = next(under_way, None)
            if fates is None:
                self._due[rule.name] = now + PAUSE
                return deleted
            deleted += sum(not fate.kept for fate in fates)
        self._under_way[rule.name] = under_way
        return deleted
