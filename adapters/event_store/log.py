"""The event log for threads: the EventLog port on the library's recorder and mapper."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import PoolTimeout

from adapters.event_store.append import STATEMENT, Batch
from adapters.event_store.long_streams import NOTHING, LongStreams
from adapters.event_store.mapper import EventMapper, ReadRow
from adapters.event_store.names import storable
from adapters.event_store.reaching import reaching
from adapters.event_store.recorder import COLUMNS, StarferryRecorder, open_datastore
from application.ports.event_log import Batch as ReadBatch
from application.ports.event_log import Commit
from domain.errors import Conflict, RetryLater, StarferryError
from domain.event import Recorded

T = TypeVar("T")

_LOAD_MANY = (
    f"SELECT {COLUMNS} FROM starferry.starferry_events "
    "WHERE originator_id = ANY(%s) ORDER BY originator_id, originator_version"
)
_LOAD_AT = f"SELECT {COLUMNS} FROM starferry.starferry_events WHERE notification_id = ANY(%s) ORDER BY notification_id"
_LOAD = (
    f"SELECT {COLUMNS} FROM starferry.starferry_events "
    "WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version"
)
_POSITION = "INSERT INTO starferry.consumer AS c SELECT %(name)s, %(position)s WHERE %(position)s > 0 "
_FORWARD = "ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE c.position < excluded.position"
_MOVE = _POSITION + _FORWARD
_MOVE_ALONE = _POSITION + "AND set_config('synchronous_commit', 'off', true) IS NOT NULL " + _FORWARD
"""Without events that depend on it: what a crash takes back is handled again, so the disk isn't waited for."""
_ENTER = (
    "INSERT INTO starferry.consumer SELECT %s, coalesce(max(notification_id), 0) FROM starferry.starferry_events "
    "ON CONFLICT (name) DO NOTHING"
)


class PostgresEventLog:
    """Implements EventLog. Safe to share between threads. Pickled, it is opened anew where it arrives."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self.datastore = open_datastore(conninfo)
        with reaching():
            self.recorder = StarferryRecorder(self.datastore)
        self.mapper = EventMapper()
        self._long_streams = LongStreams()

    def __reduce__(self) -> tuple[type[PostgresEventLog], tuple[str]]:
        return PostgresEventLog, (self._conninfo,)

    def close(self) -> None:
        """Give the connections back."""
        self.datastore.close()

    def append(self, commit: Commit) -> int:
        """See EventLog.append."""
        (result,) = self.append_all([commit])
        if isinstance(result, StarferryError):
            raise result
        return result

    def append_all(self, commits: Sequence[Commit]) -> list[int | StarferryError]:
        """See EventLog.append_all."""
        batch = Batch()
        for commit in commits:
            batch.add(self.mapper.stored_commit(commit), commit)

        def work() -> list[int | StarferryError]:
            with self.datastore.get_connection() as connection:
                return _store(connection, batch)

        return self._reach(work)

    def append_tracked(self, commits: Sequence[Commit], consumer: str, position: int) -> None:
        """See EventLog.append_tracked."""
        batch = Batch()
        for commit in commits:
            batch.add(self.mapper.stored_commit(commit), commit)

        def move(connection: psycopg.Connection[Any], statement: str) -> None:
            moved = connection.execute(statement, {"name": consumer, "position": position}, prepare=True)
            if moved.rowcount == 0:
                raise Conflict(f"Another {consumer} has come further already.")

        def work() -> None:
            with self.datastore.get_connection() as connection:
                if not commits:
                    move(connection, _MOVE_ALONE)
                    return
                with connection.transaction():
                    move(connection, _MOVE)
                    refused = [one for one in _store(connection, batch) if isinstance(one, StarferryError)]
                    if refused:
                        raise refused[0]

        self._reach(work)

    def load(self, stream: str) -> Sequence[Recorded]:
        """See EventLog.load."""
        if not storable(stream):
            return ()
        known = self._long_streams.known(stream)
        stored = self._stored(stream, max(0, len(known.events) - 1))
        if known.events:
            last, stored = (stored[0], stored[1:]) if stored else (None, [])
            if last is None or last.id != known.events[-1].position:  # the log was put back to an earlier state
                known, stored = NOTHING, self._stored(stream, 0)
        size = sum(len(event.state) for event in stored)
        return self._long_streams.grown(stream, known, self.mapper.recorded(stored), size)

    def _stored(self, stream: str, after: int) -> list[ReadRow]:
        return list(map(ReadRow._make, self._select(_LOAD, (stream, after))))

    def load_many(self, streams: Sequence[str]) -> Mapping[str, Sequence[Recorded]]:
        """See EventLog.load_many."""
        rows = self._select(_LOAD_MANY, ([stream for stream in streams if storable(stream)],)) if streams else []
        found: dict[str, list[Recorded]] = {}
        for recorded in self.mapper.recorded(map(ReadRow._make, rows)):
            found.setdefault(recorded.stream, []).append(recorded)
        return found

    def load_at(self, positions: Sequence[int]) -> Sequence[Recorded]:
        """See EventLog.load_at."""
        rows = self._select(_LOAD_AT, (list(positions),)) if positions else []
        return self.mapper.recorded(map(ReadRow._make, rows))

    def read(
        self, after: int, limit: int, *, upto: int | None = None, topics: Collection[str] | None = None
    ) -> ReadBatch:
        """See EventLog.read."""
        stored = self._reach(lambda: self.recorder.select_rows(after, limit, upto), again=True)
        wanted = stored if topics is None else [event for event in stored if event.topic in topics]
        return ReadBatch(self.mapper.recorded(wanted), stored[-1].id if stored else after)

    def claimed(self, names: Sequence[str]) -> frozenset[str]:
        """See EventLog.claimed."""
        rows = self._select(
            "SELECT name FROM starferry.claim WHERE name = ANY(%s)", ([name for name in names if storable(name)],)
        )
        return frozenset(name for (name,) in rows)

    def head(self) -> int:
        """See EventLog.head."""
        return self._reach(self.recorder.max_notification_id, again=True) or 0

    def checkpoint(self, consumer: str) -> int:
        """See EventLog.checkpoint."""
        rows = self._select("SELECT position FROM starferry.consumer WHERE name = %s", (consumer,))
        return rows[0][0] if rows else 0

    def enter(self, consumer: str) -> None:
        """See EventLog.enter."""
        with reaching(), self.datastore.get_connection() as connection:
            connection.execute(_ENTER, (consumer,))

    def _select(self, statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        def work() -> list[tuple[Any, ...]]:
            with self.datastore.get_connection() as connection:
                cursor = connection.cursor(binary=True, row_factory=tuple_row)
                rows: list[tuple[Any, ...]] = cursor.execute(statement, parameters, prepare=True).fetchall()
                return rows

        return self._reach(work, again=True)

    def _reach(self, work: Callable[[], T], *, again: bool = False) -> T:
        """Run a piece of database work, a second time (`again`, for what only reads) when its connection was lost:
        the others in the pool were probably lost with it, and are looked through first."""
        try:
            with reaching():
                return work()
        except RetryLater as error:
            cause = error.__cause__
            if isinstance(cause, PoolTimeout) or (cause and isinstance(cause.__cause__, PoolTimeout)):
                raise
            self.datastore.pool.check()
            if not again:
                raise
        with reaching():
            return work()


def _store(connection: psycopg.Connection[Any], batch: Batch) -> list[int | StarferryError]:
    cursor = connection.cursor(row_factory=tuple_row)
    row = cursor.execute(STATEMENT, batch.parameters(), prepare=True).fetchone()
    assert row is not None
    return batch.results(*row)
