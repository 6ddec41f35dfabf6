"""When the portal is to be asked for a user's proposals again, agreed between all API processes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

LEASE_SECONDS = 20.0
"""How long others leave a question to the process that took it: longer than a call to the portal may last."""


class PortalQuestions:
    """Takes and answers questions. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool

    async def take(self, username: str, *, within: float) -> bool:
        """Whether it is this process's turn to ask: the question is due within so many seconds, and no other process is
        asking it."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "INSERT INTO starferry.portal_question AS q VALUES (%(name)s, now(), now() + %(lease)s) "
                "ON CONFLICT (username) DO UPDATE SET asking_until = excluded.asking_until "
                "WHERE q.due_at <= now() + %(within)s AND q.asking_until <= now() RETURNING 1",
                {"name": username, "lease": timedelta(seconds=LEASE_SECONDS), "within": timedelta(seconds=within)},
            )
            return await cursor.fetchone() is not None

    async def answered(self, username: str, *, again_in: float) -> None:
        """The question is settled for so many seconds."""
        async with self._pool.connection() as connection:
            await connection.execute(
                "INSERT INTO starferry.portal_question AS q VALUES (%(name)s, now() + %(again)s, now()) "
                "ON CONFLICT (username) DO UPDATE SET due_at = excluded.due_at, asking_until = now()",
                {"name": username, "again": timedelta(seconds=again_in)},
            )

    async def being_asked(self, username: str) -> bool:
        """Whether some process is asking just now."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT asking_until > now() FROM starferry.portal_question WHERE username = %s", (username,)
            )
            row = await cursor.fetchone()
            return bool(row and row[0])

    async def learned(self, username: str) -> tuple[str, ...]:
        """What the read model has of the portal's list."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT learned FROM read_accounts.account WHERE username = %s", (username,)
            )
            row = await cursor.fetchone()
            return tuple(row[0]) if row else ()
