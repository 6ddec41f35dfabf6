"""Reads after one's own write are consistent: they wait, briefly, until the read models have the write."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from api.replica import needed
from projections.awaited import TELL

WAIT_SECONDS = 3.0
POLL_SECONDS = 0.004
REMEMBERED = 10_000

HEADER = "starferry-position"
"""On a reply: the position of what was written. On a request: wait for this position (for clients that write through
one process and read through another)."""


class ReadGate:
    """Knows who wrote last where, and how far the read models are. Belongs to one event loop.

    With `replicated` a replica may answer (api/replica.py), which hears here what the request must see.
    """

    def __init__(
        self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]], *, replicated: bool = False
    ) -> None:
        self._pool = pool
        self._replicated = replicated
        self._written: dict[str, int] = {}
        self._reached = 0

    def wrote(self, actor: str, position: int) -> None:
        """`actor` has written up to `position`."""
        if len(self._written) > REMEMBERED:
            self._written.clear()
        self._written[actor] = max(position, self._written.get(actor, 0))

    async def settle(self, actor: str, asked: str | None = None) -> None:
        """Wait for the actor's own writes, and for a position that the request names."""
        position = self._written.get(actor, 0) if actor else 0
        if asked and asked.isascii() and asked.isdecimal() and len(asked) < 19:
            wanted = int(asked)
            if wanted > max(position, self._reached):
                wanted = min(wanted, await self._head())
            position = max(position, wanted)
        needed.set(position)
        if position > self._reached:
            await self._wait(position)

    async def reached(self, position: int) -> bool:
        """Wait for a position of somebody's write; false when the read models didn't get there in time."""
        needed.set(max(position, needed.get()))
        if position > self._reached:
            await self._wait(position)
        return position <= self._reached

    async def catch_up(self) -> bool:
        """Wait for all that is in the log now; false when the read models had it already. For misses: what isn't
        found may have been written through another process a moment ago."""
        head = await self._head()
        elsewhere = self._replicated and needed.get() < head
        needed.set(max(head, needed.get()))
        if head <= self._reached:
            return elsewhere
        before = self._reached
        await self._wait(head)
        return elsewhere or self._reached > before

    async def _head(self) -> int:
        """The position of the newest event: nobody need wait for what hasn't been written."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute("SELECT max(notification_id) FROM starferry.starferry_events")
            row = await cursor.fetchone()
        return int(row[0] or 0) if row else 0

    async def _wait(self, position: int) -> None:
        deadline, told = time.monotonic() + WAIT_SECONDS, False
        while True:
            async with self._pool.connection() as connection:
                cursor = await connection.execute("SELECT min(position) FROM starferry.projection WHERE failure = ''")
                row = await cursor.fetchone()
                self._reached = max(self._reached, int(row[0] or 0) if row else 0)
                if self._reached >= position or time.monotonic() > deadline:
                    return
                if not told:
                    await connection.execute(TELL)
                    told = True
            await asyncio.sleep(POLL_SECONDS)
