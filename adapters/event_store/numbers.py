"""Ids of frames and versions, taken from the database a block at a time."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.reaching import reaching
from domain.errors import RetryLater

BLOCK = 100
"""At 1 500 frames a second a process asks 30 times a second; a process that stops wastes at most 99 ids."""


class BlockNumbers:
    """Implements Numbers. Safe to share between threads."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore
        self._lock = threading.Lock()
        self._next = self._end = 0

    def take(self) -> int:
        """See Numbers.take. Raises RetryLater."""
        with self._lock:
            if self._next == self._end:
                with reaching(), self._datastore.get_connection() as connection:
                    row = connection.execute("SELECT nextval('starferry.id_block') AS block").fetchone()
                assert row is not None
                self._next = (row["block"] - 1) * BLOCK + 1
                self._end = self._next + BLOCK
            number = self._next
            self._next += 1
            return number


class AsyncNumbers:
    """Implements Numbers for an event loop: `refill` before taking, then `take` never waits."""

    LOW = 400
    """More than any number of requests at once takes between two refills."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool
        self._ids: deque[int] = deque()
        self._lock = asyncio.Lock()

    async def refill(self) -> None:
        """Have enough ids at hand. Raises RetryLater."""
        if len(self._ids) >= self.LOW:
            return
        async with self._lock:
            while len(self._ids) < self.LOW:
                with reaching():
                    async with self._pool.connection() as connection:
                        cursor = await connection.execute(
                            "SELECT nextval('starferry.id_block') FROM generate_series(1, %s)", (self.LOW // BLOCK,)
                        )
                        blocks = await cursor.fetchall()
                for (block,) in blocks:
                    self._ids.extend(range((block - 1) * BLOCK + 1, block * BLOCK + 1))

    def take(self) -> int:
        """See Numbers.take."""
        if not self._ids:
            raise RetryLater("Too many frames at once; try again in a moment.")
        return self._ids.popleft()
