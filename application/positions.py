"""Which position a time means: the log has one order, and people remember by the clock."""

from __future__ import annotations

from datetime import datetime

import msgspec

from application.ports.event_log import EventLog
from domain.errors import InvalidInput
from domain.event import Recorded

NEAR = 500
"""Events looked through behind the place that halving finds: commits of several processes get their times before their
places, so times near each other may be out of order."""


class Point(msgspec.Struct, frozen=True):
    """A place in the log that won't change any more, and when the last event up to there was recorded (UTC; None for
    the log's beginning)."""

    position: int
    at: datetime | None


def point_of(log: EventLog, asked: int | datetime, now: datetime) -> Point:
    """A position, or the last one whose event was recorded by a time. Raises InvalidInput for one that is still to
    come: what it will tell isn't settled."""
    head = log.head()
    if isinstance(asked, int):
        if not 0 <= asked <= head:
            raise InvalidInput(f"The log's positions are 0 to {head}.", field="at")
        last = _last(log, asked)
        return Point(asked, last.at if last else None)
    if asked > now:
        raise InvalidInput("This time is still to come.", field="at")
    position = _by(log, asked, head)
    last = _last(log, position)
    return Point(position, last.at if last else None)


def _by(log: EventLog, moment: datetime, head: int) -> int:
    """By halving, then by looking at what stands near."""
    low, high = 0, head  # all up to `low` is recorded by then; what follows `high` isn't
    while low < high:
        middle = (low + high) // 2
        following = log.read(middle, 1, upto=head).events
        if following and following[0].at <= moment:
            low = following[0].position
        else:
            high = middle
    while near := log.read(low, NEAR, upto=head).events:
        recorded = [event.position for event in near if event.at <= moment]
        if not recorded:
            break
        low = recorded[-1]
    return low


def _last(log: EventLog, position: int) -> Recorded | None:
    """The last event up to a position: positions may have gaps."""
    back = 1
    while position > 0:
        events = log.read(max(0, position - back), back, upto=position).events
        if events:
            return events[-1]
        if back >= position:
            break
        back *= 8
    return None
