"""The event log without a database: for tests, simulations and rehearsals."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence

from eventsourcing.persistence import Notification

from adapters.event_store.append import already_there, conflict, required_versions
from adapters.event_store.mapper import EventMapper, StoredRow
from application.ports.event_log import Batch, Commit
from domain.errors import AlreadyExists, Conflict, StarferryError, StreamConflict
from domain.event import Recorded


class MemoryEventLog:
    """Implements EventLog as PostgreSQL does, stored form included: what can't be stored there fails here too.

    Differs in that positions have no gaps after a refused commit. Thread-safe.
    """

    def __init__(self, mapper: EventMapper | None = None) -> None:
        self.mapper = mapper or EventMapper()
        self._lock = threading.Lock()
        self._events: list[Notification] = []
        self._streams: dict[str, list[Notification]] = {}
        self._claims: set[str] = set()
        self._checkpoints: dict[str, int] = {}

    def append(self, commit: Commit) -> int:
        """See EventLog.append."""
        stored = self.mapper.stored_commit(commit)
        with self._lock:
            self._store(commit, stored)
            return len(self._events)

    def append_all(self, commits: Sequence[Commit]) -> list[int | StarferryError]:
        """See EventLog.append_all."""
        return [self._result(commit) for commit in commits]

    def append_tracked(self, commits: Sequence[Commit], consumer: str, position: int) -> None:
        """See EventLog.append_tracked."""
        members = [(commit, self.mapper.stored_commit(commit)) for commit in commits]
        with self._lock:
            if self._checkpoints.get(consumer, 0) >= position:
                raise Conflict(f"Another {consumer} has come further already.")
            length, claims = len(self._events), set(self._claims)
            try:
                for commit, stored in members:
                    self._store(commit, stored)
            except Conflict:
                self._forget(length)
                self._claims = claims
                raise
            self._checkpoints[consumer] = position

    def load(self, stream: str) -> Sequence[Recorded]:
        """See EventLog.load."""
        return self.load_many([stream]).get(stream, ())

    def load_many(self, streams: Sequence[str]) -> Mapping[str, Sequence[Recorded]]:
        """See EventLog.load_many."""
        with self._lock:
            found = {stream: tuple(self._streams[stream]) for stream in streams if stream in self._streams}
        return {stream: self.mapper.recorded(stored) for stream, stored in found.items()}

    def load_at(self, positions: Sequence[int]) -> Sequence[Recorded]:
        """See EventLog.load_at."""
        with self._lock:
            stored = [
                self._events[position - 1] for position in sorted(set(positions)) if 0 < position <= len(self._events)
            ]
        return self.mapper.recorded(stored)

    def read(self, after: int, limit: int, *, upto: int | None = None, topics: Collection[str] | None = None) -> Batch:
        """See EventLog.read."""
        with self._lock:
            end = len(self._events) if upto is None else min(upto, len(self._events))
            stored = self._events[after : min(end, after + limit)]
        wanted = stored if topics is None else [event for event in stored if event.topic in topics]
        return Batch(self.mapper.recorded(wanted), stored[-1].id if stored else after)

    def claimed(self, names: Sequence[str]) -> frozenset[str]:
        """See EventLog.claimed."""
        with self._lock:
            return frozenset(names) & self._claims

    def head(self) -> int:
        """See EventLog.head."""
        with self._lock:
            return len(self._events)

    def checkpoint(self, consumer: str) -> int:
        """See EventLog.checkpoint."""
        with self._lock:
            return self._checkpoints.get(consumer, 0)

    def enter(self, consumer: str) -> None:
        """See EventLog.enter."""
        with self._lock:
            self._checkpoints.setdefault(consumer, len(self._events))

    def _result(self, commit: Commit) -> int | StarferryError:
        try:
            return self.append(commit)
        except (StreamConflict, AlreadyExists) as error:
            return error

    def _store(self, commit: Commit, stored: Sequence[StoredRow]) -> None:
        """Check all that could refuse the commit, then change all. In the order of `starferry.append`: of several
        reasons the same one is told."""
        for stream, version in required_versions(commit):
            if len(self._streams.get(stream, ())) != version:
                raise conflict(stream)
        taken = [
            name
            for number, name in enumerate(commit.claims)
            if (name in self._claims and name not in commit.releases) or name in commit.claims[:number]
        ]
        if taken:
            raise already_there(taken)
        written = set()
        for event in stored:
            place = (event.originator_id, event.originator_version)
            if place in written or event.originator_version <= len(self._streams.get(event.originator_id, ())):
                raise conflict(event.originator_id)
            written.add(place)
        self._claims.difference_update(commit.releases)
        self._claims.update(commit.claims)
        for event in stored:
            entry = Notification(
                id=len(self._events) + 1,
                originator_id=event.originator_id,
                originator_version=event.originator_version,
                topic=event.topic,
                state=event.state,
            )
            self._events.append(entry)
            self._streams.setdefault(event.originator_id, []).append(entry)

    def _forget(self, length: int) -> None:
        for entry in reversed(self._events[length:]):
            stream = self._streams[entry.originator_id]
            stream.pop()
            if not stream:
                del self._streams[entry.originator_id]
        del self._events[length:]
