"""The one statement that appends: how commits become its arrays, and how its answer becomes results or errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import StoredEvent

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

    def add(self, stored: Sequence[StoredEvent], commit: Commit | None = None) -> None:
        """Take one more commit (None: bare events without claims, as the library's recorder gives them)."""
        number = len(self.sizes)
        self.sizes.append(len(stored))
        cmds, ids, versions, topics, states = self._events
        for event in stored:
            cmds.append(number)
            ids.append(str(event.originator_id))
            versions.append(event.originator_version)
            topics.append(event.topic)
            states.append(event.state)
        if commit is None:
            return
        for claim in commit.claims:
            self._claims[0].append(number)
            self._claims[1].append(claim)
        for released in commit.releases:
            self._releases[0].append(number)
            self._releases[1].append(released)
        for stream, version in commit.guards:
            self._guard(number, stream, version)
        for write in commit.writes:
            if write.expected > 0:  # a new stream is guarded by the primary key
                self._guard(number, write.stream, write.expected)

    def _guard(self, number: int, stream: str, version: int) -> None:
        self._guards[0].append(number)
        self._guards[1].append(stream)
        self._guards[2].append(version)

    def parameters(self) -> tuple[Any, ...]:
        """The arguments of STATEMENT."""
        return (len(self.sizes), *self._events, *self._claims, *self._releases, *self._guards)

    def results(self, last_position: int | None, outcomes: list[str] | None) -> list[int | StarferryError]:
        """For each commit the position of its last event, or why it was not stored."""
        refused = [refusal(outcome) for outcome in outcomes] if outcomes else [None] * len(self.sizes)
        stored = sum(size for size, error in zip(self.sizes, refused, strict=True) if error is None)
        position = (last_position or 0) - stored
        results: list[int | StarferryError] = []
        for size, error in zip(self.sizes, refused, strict=True):
            if error is not None:
                results.append(error)
            else:
                position += size
                results.append(position)
        return results


def refusal(outcome: str) -> StarferryError | None:
    """The error that one outcome of `starferry.append` stands for; None when the commit was stored."""
    if not outcome:
        return None
    if outcome.startswith("stream:"):
        return StreamConflict(f"Somebody else changed {outcome.removeprefix('stream:')} at the same time; try again.")
    taken = tuple(outcome.split("\n"))
    return AlreadyExists(f"Already there: {', '.join(taken)}.", taken=taken)
