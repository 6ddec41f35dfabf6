"""Searching the newest months first, in an index that knows no order.

A GIN index finds all matches of a common text, tens of thousands, to be sorted for a page of a hundred. So each frame
has one more key among its trigrams: the month of its observation. Together with a few months' keys the index gives
these months' matches alone, and a page is soon full: a millisecond instead of twenty at a million frames
(`tests.benchmarks`, target contains). What is older than the last window is searched at once.

Months are those of UTC. A frame whose observation is dated after its arrival (by more than `AHEAD`) has the key `LATER`
instead of a month's, which every window asks for; the dates tell to which window it belongs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from projections.frames.fetching import numbers
from projections.frames.search import Where

WINDOWS = (2, 6, 24)
"""Months of each window."""
AHEAD = timedelta(days=31)
LATER = -(2**15)
"""Month keys are negative, as no trigram is; smallints, as trigrams are."""
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


class Window(msgspec.Struct, frozen=True):
    """Observation dates from `lower` until before `upper`, None being without bound. `keys` are those of its months."""

    lower: datetime | None
    upper: datetime | None
    keys: tuple[int, ...]

    def narrow(self, where: Where) -> None:
        """Keep what was observed in it."""
        if self.keys:
            where.add("f.grams && %s::smallint[]", numbers(self.keys))
        # IS TRUE keeps the planner from walking through the months instead
        if self.lower is not None:
            where.add("(f.observation_date >= %s) IS TRUE", self.lower)
        if self.upper is not None:
            where.add("(f.observation_date < %s) IS TRUE", self.upper)


def month_key(observed: datetime | None, at: datetime) -> int | None:
    """The key of a frame that was observed then and arrived `at`; None without an observation date."""
    if observed is None:
        return None
    return LATER if observed > at + AHEAD else _key(observed)


def windows(now: datetime) -> Sequence[Window]:
    """All of time in windows, newest first. `now` can also be a time up to which one looks."""
    found: list[Window] = []
    upper, lower = None, _shifted(max(now, _EARLIEST), 1)
    for months in WINDOWS:
        lower = _shifted(lower, -months)
        # what arrives at this moment is dated AHEAD at most, so within the month after the next
        length = months if found else months + 2
        found.append(Window(lower, upper, (LATER, *(_key(_shifted(lower, month)) for month in range(length)))))
        upper = lower
    return [*found, Window(None, upper, ())]


def _count(moment: datetime) -> int:
    moment = moment.astimezone(UTC)
    return (moment.year - _EARLIEST.year) * 12 + moment.month - 1


def _key(moment: datetime) -> int:
    return -1 - max(0, _count(moment))


def _shifted(moment: datetime, months: int) -> datetime:
    """The beginning of the month so many months later."""
    count = _count(moment) + months
    return _EARLIEST.replace(year=_EARLIEST.year + count // 12, month=count % 12 + 1)
