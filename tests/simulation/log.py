"""The event log of the simulation: what is committed stays, but a reply may be lost before or after that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from adapters.event_store.mapper import EventMapper
from adapters.event_store.memory import MemoryEventLog
from application.ports.event_log import Batch, Commit
from domain.errors import StarferryError
from domain.event import Recorded
from tests.simulation.faults import Wire
from tests.simulation.kernel import SECOND, Kernel, Signal


class Database:
    """What is committed. `committed` hears of every event, in order."""

    def __init__(self) -> None:
        self.memory = MemoryEventLog(_MAPPER)
        self.events: list[Recorded] = []
        self.streams: dict[str, list[Recorded]] = {}
        self.grown = Signal()
        self.committed: Callable[[Recorded], None] = lambda _: None
        self.dead_letters: list[tuple[str, Recorded]] = []

    def wait(self, kernel: Kernel, known: int, *, soon: bool) -> None:
        """Until the log is longer than `known`. The wake-up may be lost, or something else be waited for: then one
        looks again after two or a few seconds."""
        late = kernel.current.random.random() < 0.05
        if late:
            kernel.pause(5 * SECOND)
        elif len(self.events) == known:
            kernel.wait(self.grown, 2 * SECOND if soon else None)

    def learn(self) -> int:
        """Read what was just stored, as any reader of the stored form would."""
        for recorded in self.memory.read(len(self.events), 1000).events:
            self.events.append(recorded)
            self.streams.setdefault(recorded.stream, []).append(recorded)
            self.committed(recorded)
        return len(self.events)


class _Plain:
    """Implements Compressor by leaving bytes as they are: a third of a simulation's time otherwise."""

    def compress(self, data: bytes) -> bytes:
        """The same."""
        return data

    def decompress(self, data: bytes) -> bytes:
        """The same."""
        return data


_MAPPER = EventMapper()
_MAPPER.compressor = _Plain()


class SimLog:
    """Implements EventLog for one process."""

    def __init__(self, database: Database, wire: Wire) -> None:
        self._database, self._wire = database, wire

    def append(self, commit: Commit) -> int:
        """See EventLog.append."""
        return self._wire.call("log.append", f"append {_told(commit)}", lambda: self._append(commit))

    def append_all(self, commits: Sequence[Commit]) -> list[int | StarferryError]:
        """See EventLog.append_all."""
        told = f"append {'; '.join(_told(commit) for commit in commits)}"
        return self._wire.call("log.append", told, lambda: self._append_all(commits))

    def append_tracked(self, commits: Sequence[Commit], consumer: str, position: int) -> None:
        """See EventLog.append_tracked."""
        told = f"track {consumer} {position} {'; '.join(_told(commit) for commit in commits)}"
        self._wire.call("log.append", told, lambda: self._append_tracked(commits, consumer, position))

    def load(self, stream: str) -> Sequence[Recorded]:
        """See EventLog.load."""
        return self._wire.call("log.read", f"load {stream}", lambda: tuple(self._database.streams.get(stream, ())))

    def load_many(self, streams: Sequence[str]) -> Mapping[str, Sequence[Recorded]]:
        """See EventLog.load_many."""
        if not streams:
            return {}
        known = self._database.streams
        return self._wire.call(
            "log.read",
            f"load {' '.join(sorted(streams))}",
            lambda: {stream: tuple(known[stream]) for stream in streams if stream in known},
        )

    def load_at(self, positions: Sequence[int]) -> Sequence[Recorded]:
        """See EventLog.load_at."""
        return self._wire.call("log.read", "load some", lambda: tuple(self._database.memory.load_at(positions)))

    def read(self, after: int, limit: int, *, upto: int | None = None, topics: Collection[str] | None = None) -> Batch:
        """See EventLog.read."""
        return self._wire.call("log.read", f"read {after} {limit}", lambda: self._read(after, limit, upto, topics))

    def claimed(self, names: Sequence[str]) -> frozenset[str]:
        """See EventLog.claimed."""
        return self._wire.call("log.read", f"claimed {len(names)}", lambda: self._database.memory.claimed(names))

    def head(self) -> int:
        """See EventLog.head."""
        return self._wire.call("log.read", "head", self._database.memory.head)

    def checkpoint(self, consumer: str) -> int:
        """See EventLog.checkpoint."""
        return self._wire.call("log.read", f"checkpoint {consumer}", lambda: self._database.memory.checkpoint(consumer))

    def enter(self, consumer: str) -> None:
        """See EventLog.enter."""
        self._database.memory.enter(consumer)

    def put(self, consumer: str, recorded: Recorded) -> None:
        """See DeadLetters.put."""
        self._database.dead_letters.append((consumer, recorded))

    def _append(self, commit: Commit) -> int:
        self._database.memory.append(commit)
        return self._grown()

    def _append_all(self, commits: Sequence[Commit]) -> list[int | StarferryError]:
        results = self._database.memory.append_all(commits)
        self._grown()
        return results

    def _append_tracked(self, commits: Sequence[Commit], consumer: str, position: int) -> None:
        self._database.memory.append_tracked(commits, consumer, position)
        self._grown()

    def _grown(self) -> int:
        before = len(self._database.events)
        position = self._database.learn()
        if position > before:
            self._wire.kernel.notify(self._database.grown, 1000)
        return position

    def _read(self, after: int, limit: int, upto: int | None, topics: Collection[str] | None) -> Batch:
        end = len(self._database.events) if upto is None else min(upto, len(self._database.events))
        found = self._database.events[after : min(end, after + limit)]
        wanted = found if topics is None else [event for event in found if event.event.topic in topics]
        return Batch(wanted, found[-1].position if found else after)


def _told(commit: Commit) -> str:
    return " ".join(
        f"{write.stream}@{write.expected}+{','.join(event.topic.partition('.')[2] for event in write.events)}"
        for write in commit.writes
    )
