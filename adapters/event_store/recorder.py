"""The library's application recorder with our append: one round trip, binary arrays, an advisory lock.

The stock `insert_events` can hang for ever on saves above a socket buffer, holding the table's lock; its
DB-functions mode lets readers miss events (docs/adr/0002).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.rows import dict_row, tuple_row

from adapters.event_store.append import STATEMENT, Batch
from adapters.event_store.mapper import ReadRow, StoredRow

EVENTS_TABLE = "starferry_events"

COLUMNS = "notification_id, originator_id, originator_version, topic, state"

_SELECT = (
    f"SELECT {COLUMNS} FROM starferry.starferry_events WHERE notification_id > %b "
    "AND notification_id <= coalesce(%b, 9223372036854775807) "
)
_ORDER = "ORDER BY notification_id LIMIT %b"

CONNECT_SECONDS = 5.0
"""How long a caller waits for a connection before RetryLater."""

IDLE_SECONDS = 10.0
"""A process that stops inside a transaction may hold every writer's lock; the server ends it after this time."""


def open_datastore(conninfo: str, *, pool_size: int = 1, max_overflow: int = 15) -> PostgresDatastore:
    """The library's connection pool for a database that `migrate` has prepared."""
    datastore = PostgresDatastore(
        dbname="",
        host="",
        port="",
        user="",
        password="",
        connect_timeout=CONNECT_SECONDS,
        idle_in_transaction_session_timeout=IDLE_SECONDS,
        pool_size=pool_size,
        max_overflow=max_overflow,
        schema="starferry",
        originator_id_type="text",
    )
    # the library takes five parameters; the others (TLS, options, several hosts) matter as much
    datastore.pool.kwargs = {**psycopg.conninfo.conninfo_to_dict(conninfo), "row_factory": dict_row}
    return datastore


class StarferryRecorder(PostgresApplicationRecorder):  # type: ignore[misc]
    """Stores events through `starferry.append`. Positions appear in order and never late.

    Reading is tried once, not ten times as by the library: whoever waits for an answer decides about that.
    """

    def __init__(self, datastore: PostgresDatastore) -> None:
        super().__init__(datastore, events_table_name=EVENTS_TABLE)

    def create_table(self) -> None:
        """Nothing: the tables come from the numbered migrations."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:
        """Store all events or none. Raises the library's IntegrityError when a version of a stream is taken."""
        if not stored_events:
            return []
        batch = Batch()
        batch.add(
            [StoredRow(str(e.originator_id), e.originator_version, e.topic, bytes(e.state)) for e in stored_events]
        )
        with self.datastore.get_connection() as connection:
            row = connection.cursor().execute(STATEMENT, batch.parameters(), prepare=True).fetchone()
        (result,) = batch.results(row["last_position"], row["outcomes"])
        if not isinstance(result, int):
            raise IntegrityError(str(result)) from result
        return list(range(result - len(stored_events) + 1, result + 1))

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The library's read, in binary: a state isn't sent as hexadecimal text."""
        after = 0 if start is None else start - inclusive_of_start
        return [
            Notification(id=id_, originator_id=stream, originator_version=version, topic=topic, state=bytes(state))
            for id_, stream, version, topic, state in self.select_rows(after, limit, stop, topics)
        ]

    def select_rows(
        self, after: int, limit: int, stop: int | None = None, topics: Sequence[str] = ()
    ) -> Sequence[ReadRow]:
        """The next `limit` events with positions above `after` and not above `stop`."""
        with self.datastore.get_connection() as connection:
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            if topics:
                cursor.execute(f"{_SELECT} AND topic = ANY (%b) {_ORDER}", (after, stop, list(topics), limit))
            else:
                cursor.execute(_SELECT + _ORDER, (after, stop, limit), prepare=True)
            return list(map(ReadRow._make, cursor.fetchall()))

    def max_notification_id(self) -> int | None:
        """The highest position; None when there is none."""
        with self.datastore.get_connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            row = cursor.execute("SELECT max(notification_id) FROM starferry.starferry_events").fetchone()
        head: int | None = row[0]
        return head
