"""Load, decide, append; when somebody was faster, load and decide again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from application.ports.event_log import AsyncEventLog, Commit, EventLog, Write
from domain.errors import StreamConflict
from domain.event import Cause, Event, Recorded

Decision = tuple[Event, ...]
Decide = Callable[[Sequence[Recorded]], Decision]
CauseOf = Callable[[Sequence[Recorded]], Cause]

TRIES = 8
"""Concurrent writers of one stream are few (two workers, a user and a policy); each round lets one of them pass."""


def transact(
    log: EventLog,
    stream: str,
    decide: Decide,
    *,
    cause: Cause | CauseOf,
    now: datetime,
    known: Sequence[Recorded] | None = None,
) -> int:
    """Append what `decide` makes of the stream's history and return the position (of the log's head when nothing
    was to be done). The cause may follow from the history, too. Raises what `decide` raises, and StreamConflict when
    others win eight times in a row.

    `known` is the history as the caller has it: if it isn't all any more, that costs a round trip, no more."""
    for attempt in range(TRIES):
        history = log.load(stream) if known is None or attempt else known
        events = decide(history)
        if not events:
            return log.head()
        try:
            why = cause if isinstance(cause, Cause) else cause(history)
            return log.append(Commit(writes=(Write(stream, len(history), events),), cause=why, at=now))
        except StreamConflict:
            if attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")


async def transact_async(log: AsyncEventLog, commit_for: Callable[[Sequence[Recorded]], Commit], stream: str) -> int:
    """The same on an event loop, for a commit that may claim names or write several streams.

    The first try assumes that the stream is new, so that the common case needs no read.
    """
    history: Sequence[Recorded] = ()
    for attempt in range(TRIES):
        try:
            return await log.append(commit_for(history))
        except StreamConflict:
            if attempt == TRIES - 1:
                raise
            history = await log.load(stream)
    raise AssertionError("unreachable")
