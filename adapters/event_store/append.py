"""The one statement that appends: how commits become its arrays, and how its answer becomes results or errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from adapters.event_store.mapper import StoredRow
from application.ports.event_log import Commit
from domain.errors import AlreadyExists, StarferryError, StreamConflict

STATEMENT = (
    "SELECT last_position, outcomes FROM starferry.append(%b::int, %b::int[], %b::text[], %b::bigint[], %b::text[], "
    "%b::bytea[], %b::int[], %b::text[], %b::int[], %b::text[], %b::int[], %b::text[], %b::bigint[])"
)


class Batch:
    """Commits on their way into one call of `starferry.append`."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._events: tuple[list[int], list[str], list[int], list[str], list[bytes]] = ([], [], [], [], [])
        self._claims: tuple[list[int], list[str]] = ([], [])
        self._releases: tuple[list[int], list[str]] = ([], [])
        self._guards: tuple[list[int], list[str], list[int]] = ([], [], [])

    def add(self, stored: Sequence[StoredRow], commit: Commit | None = None) -> None:
        """Take one more commit (None: bare events without claims, as the library's recorder gives them)."""
        number = len(self.sizes)
        self.sizes.append(len(stored))
        columns: Sequence[list[Any]] = self._events[1:]
        self._events[0].extend([number] * len(stored))
        for column, values in zip(columns, zip(*stored, strict=True), strict=False):
            column.extend(values)
        if commit is None:
            return
        for claim in commit.claims:
            self._claims[0].append(number)
            self._claims[1].append(claim)
        for released in commit.releases:
            self._releases[0].append(number)
            self._releases[1].append(released)
        for stream, version in required_versions(commit):
            self._guards[0].append(number)
            self._guards[1].append(stream)
            self._guards[2].append(version)

    def parameters(self) -> tuple[Any, ...]:
        """The arguments of STATEMENT."""
        return (len(self.sizes), *self._events, *self._claims, *self._releases, *self._guards)

    def results(self, last_position: int, outcomes: Sequence[str] | None) -> list[int | StarferryError]:
        """For each commit the position of its last event, or why it was not stored."""
        if outcomes is not None:
            return [_result(outcome) for outcome in outcomes]
        results: list[int | StarferryError] = []
        position = last_position - sum(self.sizes)
        for size in self.sizes:
            position += size
            results.append(position)
        return results


def required_versions(commit: Commit) -> list[tuple[str, int]]:
    """The streams that must be at a version before anything is stored. New streams are left out that are written to:
    their first event can only be stored once."""
    written = [(write.stream, write.expected) for write in commit.writes if write.expected or not write.events]
    return [*commit.guards, *written]


def conflict(stream: str) -> StreamConflict:
    """Somebody was first in this stream."""
    return StreamConflict(f"Somebody else changed {stream} at the same time; try again.")


def already_there(taken: Sequence[str]) -> AlreadyExists:
    """Somebody holds these names."""
    return AlreadyExists(f"Already there: {', '.join(taken)}.", taken=tuple(taken))


def _result(outcome: str) -> int | StarferryError:
    if outcome.startswith("stream:"):
        return conflict(outcome.removeprefix("stream:"))
    if outcome.startswith("["):
        return already_there(msgspec.json.decode(outcome, type=list[str]))
    return int(outcome)
