"""The event log: one application, one order, streams with optimistic versions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from domain.errors import StarferryError
from domain.event import Cause, Event, Recorded


class Write(msgspec.Struct, frozen=True):
    """Events for one stream, to follow `expected` (the number of events it must have now; 0 = it is new)."""

    stream: str
    expected: int
    events: tuple[Event, ...]


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored as one: all of it or nothing.

    `claims` are names that must be free and are taken (`md5:…`, `key:…`); `releases` frees names;
    `guards` are streams that must still be at the version named, though nothing is written to them.
    """

    writes: tuple[Write, ...]
    cause: Cause
    at: datetime
    claims: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()
    guards: tuple[tuple[str, int], ...] = ()


class Batch(msgspec.Struct, frozen=True):
    """A stretch of the log. `upto` is the position of its last event, wanted or not; `after` again when it is empty."""

    events: Sequence[Recorded]
    upto: int


class EventLog(Protocol):
    """Durable, ordered, append-only. Safe to share between threads."""

    def append(self, commit: Commit) -> int:
        """Store the commit and return the position of its last event.

        Raises StreamConflict when a write or guard isn't at its expected version, AlreadyExists when a claim is
        taken, RetryLater when the database can't be reached. After RetryLater the commit may or may not be stored.
        """
        ...

    def append_all(self, commits: Sequence[Commit]) -> list[int | StarferryError]:
        """Store each commit that can be stored, in one trip: for each the position of its last event, or StreamConflict
        or AlreadyExists when it was refused. Raises RetryLater as `append` does, for all of them."""
        ...

    def append_tracked(self, commits: Sequence[Commit], consumer: str, position: int) -> None:
        """Store all commits and move the consumer's checkpoint to `position`, as one transaction.

        Raises as `append`, and Conflict when the checkpoint is already at or beyond `position`.
        """
        ...

    def load(self, stream: str) -> Sequence[Recorded]:
        """All events of a stream, oldest first; empty when there is none."""
        ...

    def load_many(self, streams: Sequence[str]) -> Mapping[str, Sequence[Recorded]]:
        """Like `load` for several streams in one round trip; streams without events are left out."""
        ...

    def load_at(self, positions: Sequence[int]) -> Sequence[Recorded]:
        """The events at these positions, in the log's order; positions without one are left out."""
        ...

    def read(self, after: int, limit: int, *, upto: int | None = None, topics: Collection[str] | None = None) -> Batch:
        """The next `limit` events with positions above `after` (and not above `upto`), in order, never passing one
        that could still be committed. With `topics`, the others among them are left out undecoded."""
        ...

    def claimed(self, names: Sequence[str]) -> frozenset[str]:
        """Which of these names are taken now."""
        ...

    def head(self) -> int:
        """The highest committed position; 0 when the log is empty."""
        ...

    def checkpoint(self, consumer: str) -> int:
        """How far a consumer has come; 0 when it is new."""
        ...

    def enter(self, consumer: str) -> None:
        """Have a consumer that is new begin behind all that is there; one that is known stays where it is."""
        ...


class AsyncEventLog(Protocol):
    """The same appends and loads for code on an event loop; concurrent appends share a commit."""

    async def append(self, commit: Commit) -> int: ...

    async def load(self, stream: str) -> Sequence[Recorded]: ...
