"""The event log for threads: the EventLog port on the library's recorder and mapper."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import psycopg
from eventsourcing.persistence import Notification
from eventsourcing.persistence import OperationalError as LibraryOperationalError

from adapters.event_store.append import STATEMENT, Batch
from adapters.event_store.mapper import EventMapper
from adapters.event_store.recorder import StarferryRecorder, open_datastore
from application.ports.event_log import Batch as ReadBatch
from application.ports.event_log import Commit
from domain.errors import Conflict, RetryLater
from domain.event import Recorded

T = TypeVar("T")

_LOAD_MANY = (
    "SELECT originator_id, originator_version, topic, state, notification_id FROM starferry.starferry_events "
    "WHERE originator_id = ANY(%s) ORDER BY originator_id, originator_version"
)


class PostgresEventLog:
    """Implements EventLog. Safe to share between threads."""

    def __init__(self, conninfo: str) -> None:
        self.datastore = open_datastore(conninfo)
        self.recorder = StarferryRecorder(self.datastore)
        self.mapper = EventMapper()

    def close(self) -> None:
        """Give the connections back."""
        self.datastore.close()

    def append(self, commit: Commit) -> int:
        """See EventLog.append."""
        batch = Batch()
        batch.add(self.mapper.stored_commit(commit), commit)

        def work() -> int:
            with self.datastore.get_connection() as connection:
                row = connection.cursor().execute(STATEMENT, batch.parameters(), prepare=True).fetchone()
            assert row is not None
            (result,) = batch.results(row["last_position"], row["outcomes"])
            if isinstance(result, int):
                return result
            raise result

        return _reaching(work)

    def append_tracked(self, commits: Sequence[Commit], consumer: str, position: int) -> None:
        """See EventLog.append_tracked."""
        batch = Batch()
        for commit in commits:
            batch.add(self.mapper.stored_commit(commit), commit)

        def work() -> None:
            with self.datastore.get_connection() as connection, connection.transaction():
                moved = connection.execute(
                    "INSERT INTO starferry.consumer AS c VALUES (%s, %s) ON CONFLICT (name) DO UPDATE "
                    "SET position = excluded.position WHERE c.position < excluded.position",
                    (consumer, position),
                )
                if moved.rowcount == 0:
                    raise Conflict(f"Another {consumer} has come further already.")
                if not commits:
                    return
                row = connection.cursor().execute(STATEMENT, batch.parameters(), prepare=True).fetchone()
                assert row is not None
                for result in batch.results(row["last_position"], row["outcomes"]):
                    if not isinstance(result, int):
                        raise result

        _reaching(work)

    def load(self, stream: str) -> Sequence[Recorded]:
        """See EventLog.load."""
        return self.load_many([stream]).get(stream, ())

    def load_many(self, streams: Sequence[str]) -> Mapping[str, Sequence[Recorded]]:
        """See EventLog.load_many."""

        def work() -> dict[str, list[Recorded]]:
            with self.datastore.get_connection() as connection:
                rows = connection.cursor(binary=True).execute(_LOAD_MANY, (list(streams),), prepare=True).fetchall()
            found: dict[str, list[Recorded]] = {}
            for row in rows:
                stored = Notification(
                    id=row["notification_id"],
                    originator_id=row["originator_id"],
                    originator_version=row["originator_version"],
                    topic=row["topic"],
                    state=row["state"],
                )
                found.setdefault(row["originator_id"], []).append(self.mapper.to_domain_event(stored))
            return found

        return _reaching(work) if streams else {}

    def read(
        self, after: int, limit: int, *, upto: int | None = None, topics: Collection[str] | None = None
    ) -> ReadBatch:
        """See EventLog.read."""
        stored = _reaching(
            lambda: self.recorder.select_notifications(after, limit, upto, inclusive_of_start=False)
        )
        wanted = stored if topics is None else [event for event in stored if event.topic in topics]
        return ReadBatch(self.mapper.recorded(wanted), stored[-1].id if stored else after)

    def claimed(self, names: Sequence[str]) -> frozenset[str]:
        """See EventLog.claimed."""

        def work() -> frozenset[str]:
            with self.datastore.get_connection() as connection:
                rows = connection.execute("SELECT name FROM starferry.claim WHERE name = ANY(%s)", (list(names),))
                return frozenset(row["name"] for row in rows)

        return _reaching(work)

    def head(self) -> int:
        """See EventLog.head."""
        return _reaching(self.recorder.max_notification_id) or 0

    def checkpoint(self, consumer: str) -> int:
        """See EventLog.checkpoint."""

        def work() -> int:
            with self.datastore.get_connection() as connection:
                row = connection.execute(
                    "SELECT position FROM starferry.consumer WHERE name = %s", (consumer,)
                ).fetchone()
            return row["position"] if row else 0

        return _reaching(work)


def _reaching(work: Callable[[], T]) -> T:
    """Run a piece of database work; an unreachable or failing-over database is something to try again."""
    try:
        return work()
    except (psycopg.OperationalError, LibraryOperationalError) as error:
        raise RetryLater("The database can't be reached at the moment.") from error
