"""The library's application recorder with our append: one round trip, binary arrays, an advisory lock.

The stock `insert_events` can hang for ever on saves above a socket buffer, holding the table's lock; its
DB-functions mode lets readers miss events (docs/adr/0002). Everything that reads is the library's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from adapters.event_store.append import STATEMENT, Batch

EVENTS_TABLE = "starferry_events"


def open_datastore(conninfo: str, *, pool_size: int = 1, max_overflow: int = 15) -> PostgresDatastore:
    """The library's connection pool for a database that `migrate` has prepared."""
    parameters = psycopg.conninfo.conninfo_to_dict(conninfo)
    return PostgresDatastore(
        dbname=str(parameters.get("dbname", "")),
        host=str(parameters.get("host", "")),
        port=str(parameters.get("port") or "5432"),
        user=str(parameters.get("user", "")),
        password=str(parameters.get("password", "")),
        connect_timeout=5.0,
        pool_size=pool_size,
        max_overflow=max_overflow,
        schema="starferry",
        originator_id_type="text",
    )


class StarferryRecorder(PostgresApplicationRecorder):
    """Stores events through `starferry.append`. Positions appear in order and never late."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        super().__init__(datastore, events_table_name=EVENTS_TABLE)

    def create_table(self) -> None:
        """Nothing: the tables come from the numbered migrations."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:
        """Store all events or none. Raises the library's IntegrityError when a version of a stream is taken."""
        if not stored_events:
            return []
        batch = Batch()
        batch.add(stored_events)
        with self.datastore.get_connection() as connection:
            row = connection.cursor().execute(STATEMENT, batch.parameters(), prepare=True).fetchone()
        assert row is not None
        if row["outcomes"]:
            raise IntegrityError(row["outcomes"][0])
        last = row["last_position"]
        return list(range(last - len(stored_events) + 1, last + 1))
