"""The book of digests in PostgreSQL (tables: adapters/postgres/migrations/0007_notices.sql)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from adapters.event_store.reaching import reaching
from application.ports.mail import Complaint, Digest

PREFIX = "mail:"
LEASE = timedelta(minutes=2)
SHOWN = 5
"""Reasons and frames that a mail names."""

Cursor = psycopg.Cursor[tuple[Any, ...]]

_ADD = """
INSERT INTO starferry.mail_complaint (username, storage_config, position, transfer, frame, reason, at)
SELECT %(username)s, %(config)s, %(position)s, %(transfer)s, %(frame)s, %(reason)s, %(at)s
WHERE NOT EXISTS (SELECT 1 FROM starferry.mail_digest
                  WHERE username = %(username)s AND storage_config = %(config)s AND told_upto >= %(position)s)
ON CONFLICT (username, position) DO NOTHING
"""
_DUE = """
INSERT INTO starferry.mail_digest AS d (username, storage_config, due_at) VALUES (%s, %s, %s)
ON CONFLICT (username, storage_config) DO UPDATE
SET due_at = coalesce(d.due_at, greatest(excluded.due_at, d.sent_at + %s))
RETURNING due_at
"""
_SUMMARY = """
SELECT count(DISTINCT transfer), min(at), max(position) FROM starferry.mail_complaint
WHERE username = %s AND storage_config = %s
"""


class PostgresDigests:
    """Implements DigestBook: failures gather for `gather`, and mails about one destination keep a distance of `pause`.
    Safe to share between threads and processes."""

    def __init__(self, pool: ConnectionPool[Any], *, gather: timedelta, pause: timedelta) -> None:
        self._pool = pool
        self._gather = gather
        self._pause = pause

    def add(self, complaints: Sequence[Complaint], now: datetime) -> Sequence[tuple[str, datetime]]:
        """See DigestBook.add."""
        due = []
        with reaching(), self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor()
            for username, config in sorted({(one.username, one.storage_config) for one in complaints}):
                mine = [one for one in complaints if (one.username, one.storage_config) == (username, config)]
                if sum(_added(cursor, one) for one in mine):
                    row = cursor.execute(_DUE, (username, config, now + self._gather, self._pause)).fetchone()
                    assert row is not None
                    due.append((f"{PREFIX}{config}:{username}", row[0]))
        return due

    def claim(self, digest: str, now: datetime) -> Digest | None:
        """See DigestBook.claim."""
        config, _, username = digest.removeprefix(PREFIX).partition(":")
        with reaching(), self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor()
            taken = cursor.execute(
                "UPDATE starferry.mail_digest SET due_at = %s, attempts = attempts + 1 "
                "WHERE username = %s AND storage_config = %s AND due_at <= %s RETURNING attempts",
                (now + LEASE, username, config, now),
            ).fetchone()
            if taken is None:
                return None
            transfers, since, upto = cursor.execute(_SUMMARY, (username, config)).fetchone() or (0, now, 0)
            reasons = cursor.execute(
                "SELECT reason, count(DISTINCT transfer) AS n FROM starferry.mail_complaint WHERE username = %s "
                "AND storage_config = %s AND position <= %s GROUP BY 1 ORDER BY 2 DESC, min(position) LIMIT %s",
                (username, config, upto, SHOWN),
            ).fetchall()
            frames = cursor.execute(
                "SELECT frame FROM starferry.mail_complaint WHERE username = %s AND storage_config = %s "
                "AND position <= %s GROUP BY transfer, frame ORDER BY min(position) LIMIT %s",
                (username, config, upto, SHOWN),
            ).fetchall()
        return Digest(
            id=digest,
            username=username,
            storage_config=config,
            attempts=taken[0],
            upto=upto or 0,
            transfers=transfers,
            since=since or now,
            reasons=tuple((reason, count) for reason, count in reasons),
            frames=tuple(row[0] for row in frames),
        )

    def sent(self, digest: Digest, now: datetime) -> datetime | None:
        """See DigestBook.sent."""
        return self._end(digest, now, "")

    def again(self, digest: Digest, at: datetime, reason: str) -> None:
        """See DigestBook.again."""
        with reaching(), self._pool.connection() as connection:
            connection.execute(
                "UPDATE starferry.mail_digest SET due_at = %s, failure = %s "
                "WHERE username = %s AND storage_config = %s",
                (at, reason, digest.username, digest.storage_config),
            )

    def drop(self, digest: Digest, now: datetime, reason: str = "") -> None:
        """See DigestBook.drop."""
        self._end(digest, now, reason, sent=False)

    def due(self, now: datetime) -> Sequence[str]:
        """See DigestBook.due."""
        with reaching(), self._pool.connection() as connection:
            rows = connection.execute(
                "SELECT id FROM (SELECT %s || storage_config || ':' || username AS id FROM starferry.mail_digest "
                "WHERE due_at <= %s ORDER BY due_at LIMIT 1000) AS late WHERE NOT EXISTS (SELECT 1 FROM "
                "procrastinate.procrastinate_jobs j WHERE j.status = 'todo' AND j.args ->> 'notice' = late.id)",
                (PREFIX, now),
            ).fetchall()
        return [row[0] for row in rows]

    def _end(self, digest: Digest, now: datetime, failure: str, *, sent: bool = True) -> datetime | None:
        """Forget what was told or is not to be. What gathered since then is due after the pause."""
        whose = (digest.username, digest.storage_config)
        with reaching(), self._pool.connection() as connection, connection.transaction():
            connection.execute(
                "DELETE FROM starferry.mail_complaint WHERE username = %s AND storage_config = %s AND position <= %s",
                (*whose, digest.upto),
            )
            row = connection.execute(
                "UPDATE starferry.mail_digest d SET sent_at = coalesce(%s, d.sent_at), attempts = 0, failure = %s, "
                "told_upto = greatest(d.told_upto, %s), due_at = (SELECT %s FROM starferry.mail_complaint c "
                "WHERE c.username = d.username AND c.storage_config = d.storage_config LIMIT 1) "
                "WHERE username = %s AND storage_config = %s RETURNING due_at",
                (now if sent else None, failure, digest.upto, now + self._pause, *whose),
            ).fetchone()
        return row[0] if row else None


def _added(cursor: Cursor, one: Complaint) -> int:
    return cursor.execute(
        _ADD,
        {
            "username": one.username,
            "config": one.storage_config,
            "position": one.position,
            "transfer": one.transfer,
            "frame": one.frame,
            "reason": one.reason,
            "at": one.at,
        },
    ).rowcount


def state_query(username: str) -> tuple[bytes, Sequence[object]]:
    """When somebody was last sent mail, and why it couldn't be sent lately."""
    return (
        b"SELECT max(sent_at) AS last_sent_at, max(nullif(failure, '')) AS failure FROM starferry.mail_digest "
        b"WHERE username = %s",
        (username,),
    )
