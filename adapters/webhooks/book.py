"""The book of deliveries in PostgreSQL (table: adapters/postgres/migrations/0007_notices.sql)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg_pool import ConnectionPool

from adapters.event_store.reaching import reaching
from application.ports.webhooks import Delivery

LEASE = timedelta(seconds=45)
"""How long after the start of an attempt of which nothing was heard the next is due; an attempt takes some 25 s at
most."""


class PostgresDeliveries:
    """Implements DeliveryBook. Safe to share between threads and processes."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    def add(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """See DeliveryBook.add."""
        with reaching(), self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO starferry.webhook_delivery (id, webhook, position, event, body, created_at, due_at) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING",
                [(one.id, one.webhook, one.position, one.event, one.body, now, now) for one in deliveries],
            )

    def claim(self, delivery: str, now: datetime) -> Delivery | None:
        """See DeliveryBook.claim."""
        rows = self._run(
            "UPDATE starferry.webhook_delivery SET attempts = attempts + 1, due_at = %s "
            "WHERE id = %s AND status = 'waiting' AND due_at <= %s "
            "RETURNING id, webhook, position, event, body, attempts",
            now + LEASE,
            delivery,
            now,
        )
        if not rows:
            return None
        found, webhook, position, event, body, attempts = rows[0]
        return Delivery(id=found, webhook=webhook, position=position, event=event, body=bytes(body), attempts=attempts)

    def done(self, delivery: str, now: datetime, status: int) -> None:
        """See DeliveryBook.done."""
        self._end(delivery, "delivered", now, status, "")

    def again(self, delivery: str, at: datetime, status: int | None, reason: str) -> None:
        """See DeliveryBook.again."""
        self._run(
            "UPDATE starferry.webhook_delivery SET due_at = %s, http_status = %s, reason = %s "
            "WHERE id = %s AND status = 'waiting' RETURNING 1",
            at,
            status,
            reason,
            delivery,
        )

    def give_up(self, delivery: str, now: datetime, status: int | None, reason: str) -> None:
        """See DeliveryBook.give_up."""
        self._end(delivery, "failed", now, status, reason)

    def due(self, now: datetime) -> Sequence[str]:
        """See DeliveryBook.due."""
        rows = self._run(
            "SELECT d.id FROM starferry.webhook_delivery d WHERE d.status = 'waiting' AND d.due_at <= %s "
            "AND NOT EXISTS (SELECT 1 FROM procrastinate.procrastinate_jobs j WHERE j.status = 'todo' "
            "AND j.args ->> 'notice' = d.id) ORDER BY d.due_at LIMIT 1000",
            now,
        )
        return [row[0] for row in rows]

    def forget(self, before: datetime) -> int:
        """See DeliveryBook.forget."""
        return len(self._run("DELETE FROM starferry.webhook_delivery WHERE done_at < %s RETURNING 1", before))

    def _end(self, delivery: str, ending: str, now: datetime, status: int | None, reason: str) -> None:
        self._run(
            "UPDATE starferry.webhook_delivery SET status = %s, done_at = %s, http_status = %s, reason = %s "
            "WHERE id = %s AND status = 'waiting' RETURNING 1",
            ending,
            now,
            status,
            reason,
            delivery,
        )

    def _run(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with reaching(), self._pool.connection() as connection:
            rows: list[tuple[Any, ...]] = connection.execute(statement.encode(), parameters).fetchall()
            return rows


def deliveries_query(webhook: str, below: int, limit: int) -> tuple[bytes, Sequence[object]]:
    """The newest deliveries of a webhook, for a list."""
    return (
        b"SELECT number, id, event, position, status, attempts, created_at, "
        b"CASE status WHEN 'waiting' THEN due_at END AS next_attempt_at, done_at, http_status, "
        b"nullif(reason, '') AS reason FROM starferry.webhook_delivery WHERE webhook = %s AND number < %s "
        b"ORDER BY number DESC LIMIT %s",
        (webhook, below, limit),
    )
