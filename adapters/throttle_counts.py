"""How many requests each user and address has made in its present window, over all API processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool


class Counted(msgspec.Struct, frozen=True):
    """Requests of `who` in a window, whose ends are in seconds since 1970."""

    who: str
    since: float
    until: float
    requests: int


_ADD = """
INSERT INTO starferry.throttle AS t (who, since, until, requests)
SELECT who, to_timestamp(since), to_timestamp(until), requests
FROM unnest(%s::text[], %s::float8[], %s::float8[], %s::bigint[]) AS added(who, since, until, requests)
ON CONFLICT (who) DO UPDATE SET
    since = CASE WHEN {over} THEN excluded.since ELSE t.since END,
    until = CASE WHEN {over} THEN excluded.until ELSE t.until END,
    requests = CASE WHEN {over} THEN excluded.requests ELSE t.requests + excluded.requests END
RETURNING who, extract(epoch FROM since)::float8, extract(epoch FROM until)::float8, requests
"""
_OVER = "t.until <= now() OR t.until > excluded.until + interval '1 minute'"
"""A window that has ended, or one that is longer than today's rate allows, from before the setting was changed."""


class PostgresThrottleCounts:
    """Adds what one process has counted, and tells what all have. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool

    async def add(self, counted: Sequence[Counted]) -> Mapping[str, Counted]:
        """Add these requests and return the totals of all processes."""
        ordered = sorted(counted, key=lambda one: one.who)  # so that two processes don't wait for each other
        columns = [[getattr(one, name) for one in ordered] for name in ("who", "since", "until", "requests")]
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_ADD.format(over=_OVER).encode(), columns)
            return {row[0]: Counted(*row) for row in await cursor.fetchall()}

    async def sweep(self) -> None:
        """Remove windows that have ended."""
        async with self._pool.connection() as connection:
            await connection.execute("DELETE FROM starferry.throttle WHERE until <= now()")


def standing(connection: psycopg.Connection[tuple[Any, ...]]) -> list[Counted]:
    """The present windows, the busiest first."""
    rows = connection.execute(
        "SELECT who, extract(epoch FROM since)::float8, extract(epoch FROM until)::float8, requests "
        "FROM starferry.throttle WHERE until > now() ORDER BY requests DESC, who"
    ).fetchall()
    return [Counted(*row) for row in rows]
