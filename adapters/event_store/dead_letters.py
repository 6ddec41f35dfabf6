"""Dead letters in a table beside the log."""

from __future__ import annotations

from eventsourcing.postgres import PostgresDatastore

from adapters.event_store.reaching import reaching
from domain.event import Recorded


class PostgresDeadLetters:
    """Implements DeadLetters."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def put(self, consumer: str, recorded: Recorded) -> None:
        """See DeadLetters.put."""
        with reaching(), self._datastore.get_connection() as connection:
            connection.execute(
                "INSERT INTO starferry.dead_letter (consumer, position, stream) VALUES (%s, %s, %s) "
                "ON CONFLICT DO NOTHING",
                (consumer, recorded.position, recorded.stream),
            )
