"""Transfers that are due, or will be: by destination, in the order in which they become due (docs/adr/0038).

Nothing here is the truth, so nothing is waited for: a row that a crash brings back or takes away does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import psycopg
from psycopg_pool import ConnectionPool

from adapters.event_store.reaching import reaching

T = TypeVar("T")

CHANNEL = "starferry_waiting"
"""Told of whatever is due at once."""

# set_config makes a commit that doesn't wait for the disk; the commit of events that follows waits for both.
_PUT = f"""
WITH put AS (
    INSERT INTO starferry.waiting_transfer AS w (transfer, storage_config, due_at)
    SELECT transfer, storage_config, coalesce(due_at, now())
    FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS new (transfer, storage_config, due_at)
    WHERE set_config('synchronous_commit', 'off', true) IS NOT NULL
    ON CONFLICT (transfer) DO UPDATE SET due_at = excluded.due_at WHERE w.due_at > excluded.due_at
    RETURNING due_at
)
SELECT pg_notify('{CHANNEL}', '') FROM put WHERE due_at <= now() LIMIT 1
"""
_PUT_OFF = """
INSERT INTO starferry.waiting_transfer (transfer, storage_config, due_at)
VALUES (%s, %s, now() + %s * interval '1 second') ON CONFLICT DO NOTHING
"""


class WaitingTransfers:
    """The table. Safe to share between threads; every method may raise RetryLater."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    def put(self, transfers: Mapping[str, tuple[str, datetime | None]]) -> None:
        """Each transfer waits for its destination from the time given (UTC) on, or from now on; one that waits already
        does so from the earlier of both. Whoever listens is told of those that are due."""
        values = (
            list(transfers),
            [destination for destination, _ in transfers.values()],
            [at for _, at in transfers.values()],
        )
        self._ask(lambda connection: connection.execute(_PUT.encode(), values))

    def put_off(self, storage_config: str, transfer: str, seconds: float) -> None:
        """The transfer waits so long, by the database's clock, unless it waits already."""
        self._ask(lambda connection: connection.execute(_PUT_OFF, (transfer, storage_config, seconds)))

    def destinations(self, turn: str, after: str, most: int) -> Sequence[str]:
        """Some destinations for which transfers are due: in the order of their ids, after `after`, from the one after
        `turn` on and around to it."""
        statement = "SELECT starferry.waited_for(%s, %s, %s)"
        rows = self._ask(lambda connection: connection.execute(statement, (turn, after, most)).fetchall())
        return [row[0] for row in rows]

    def first(self, storage_config: str) -> str | None:
        """See Limits.first."""
        statement = "SELECT starferry.take_waiting(%s)"
        row = self._ask(lambda connection: connection.execute(statement, (storage_config,)).fetchone())
        return str(row[0]) if row and row[0] is not None else None

    def _ask(self, ask: Callable[[psycopg.Connection[Any]], T]) -> T:
        with reaching(), self._pool.connection() as connection:
            return ask(connection)
