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
from application.ports.jobs import NONE_KNOWN

T = TypeVar("T")

CHANNEL = "starferry_waiting"
"""Told of whatever is due at once."""

# set_config makes a commit that doesn't wait for the disk; the commit of events that follows waits for both.
_PUT = f"""
WITH put AS (
    INSERT INTO starferry.waiting_transfer AS w (transfer, storage_config, due_at, size)
    SELECT transfer, storage_config, coalesce(due_at, now()), size
    FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::bigint[]) AS new (transfer, storage_config, due_at, size)
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

    def put(self, transfers: Mapping[str, tuple[str, datetime | None]], sizes: Mapping[str, int] = NONE_KNOWN) -> None:
        """Each transfer waits for its destination from the time given (UTC) on, or from now on; one that waits already
        does so from the earlier of both. Whoever listens is told of those that are due. `sizes` are the bytes of those
        of which that is known."""
        values = (
            list(transfers),
            [destination for destination, _ in transfers.values()],
            [at for _, at in transfers.values()],
            [sizes.get(transfer) for transfer in transfers],
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

    def take(self, storage_config: str, most: int, most_bytes: int, sharers: int) -> Sequence[str]:
        """The transfer that has been due longest for this destination, and those that follow, up to `most` with so
        many bytes in all, and no more than an even share for so many `sharers`. They don't wait any more. Empty
        without one."""
        statement, values = (
            "SELECT starferry.take_together(%s, %s, %s, %s)",
            (storage_config, most, most_bytes, sharers),
        )
        rows = self._ask(lambda connection: connection.execute(statement, values).fetchall())
        return [row[0] for row in rows]

    def _ask(self, ask: Callable[[psycopg.Connection[Any]], T]) -> T:
        with reaching(), self._pool.connection() as connection:
            return ask(connection)
