"""Ids of frames and versions, taken from the database a block at a time.

Ids that another archive gave stay free: `reserve` moves the sequence beyond them. A process may hold a block from
before that, so each looks every FRESH_SECONDS whether its ids are still its own (the sequence's least value is the
floor).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import Any

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.reaching import reaching
from domain.errors import InvalidInput, RetryLater

BLOCK = 100
"""At 1 500 frames a second a process asks 30 times a second; a process that stops wastes at most 99 ids."""

FRESH_SECONDS = 1.0
"""How long a process trusts the floor that it has seen."""

LARGEST_ID = 2_147_483_647
"""Of a frame or version: 32 bits, as clients of the OCS expect."""

_FLOOR = "SELECT seqmin FROM pg_sequence WHERE seqrelid = 'starferry.id_block'::regclass"


class BlockNumbers:
    """Implements Numbers. Safe to share between threads."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore
        self._lock = threading.Lock()
        self._next = self._end = 0
        self._seen = 0.0

    def take(self) -> int:
        """See Numbers.take. Raises RetryLater."""
        with self._lock:
            if self._next < self._end and time.monotonic() - self._seen > FRESH_SECONDS:
                self._seen = time.monotonic()
                if self._next <= (self._ask(_FLOOR) - 1) * BLOCK:
                    self._next = self._end
            if self._next == self._end:
                self._seen = time.monotonic()
                self._next = (self._ask("SELECT nextval('starferry.id_block')") - 1) * BLOCK + 1
                self._end = self._next + BLOCK
            number = self._next
            self._next += 1
            return number

    def reserve(self, upto: int) -> int:
        """Never hand out ids up to `upto` from now on, and return the highest id that may have been handed out before.
        Other processes know it after FRESH_SECONDS. Raises InvalidInput when too few ids would be left."""
        floor = -(-upto // BLOCK) + 1
        if floor * BLOCK > LARGEST_ID // 20 * 19:
            raise InvalidInput(f"Ids up to {upto} leave too few of the {LARGEST_ID} that there are.")
        with self._lock, reaching(), self._datastore.get_connection() as connection, connection.transaction():
            connection.execute("ALTER SEQUENCE starferry.id_block CACHE 1")  # changes nothing, but holds others off
            row = connection.execute(
                "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS handed_out, seqmin "
                "FROM starferry.id_block, pg_sequence WHERE seqrelid = 'starferry.id_block'::regclass"
            ).fetchone()
            assert row is not None
            if row["seqmin"] < floor:
                restart = f"RESTART {floor}" if row["handed_out"] < floor else ""
                connection.execute(
                    f"ALTER SEQUENCE starferry.id_block MINVALUE {floor} START {floor} {restart}".encode()
                )
            self._next = self._end = 0
            return int(row["handed_out"]) * BLOCK

    def _ask(self, statement: str) -> int:
        with reaching(), self._datastore.get_connection() as connection:
            row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return int(next(iter(row.values())))


class AsyncNumbers:
    """Implements Numbers for an event loop: `refill` before taking, then `take` never waits."""

    LOW = 400
    """More than any number of requests at once takes between two refills."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool
        self._ids: deque[int] = deque()
        self._lock = asyncio.Lock()
        self._seen = 0.0

    async def refill(self) -> None:
        """Have enough ids at hand that are still ours. Raises RetryLater."""
        if len(self._ids) >= self.LOW and time.monotonic() - self._seen < FRESH_SECONDS:
            return
        async with self._lock:
            if time.monotonic() - self._seen >= FRESH_SECONDS:
                ((floor,),) = await self._ask(_FLOOR)
                self._ids = deque(number for number in self._ids if number > (floor - 1) * BLOCK)
                self._seen = time.monotonic()
            while len(self._ids) < self.LOW:
                blocks = await self._ask(
                    f"SELECT nextval('starferry.id_block') FROM generate_series(1, {self.LOW // BLOCK})"
                )
                for (block,) in blocks:
                    self._ids.extend(range((block - 1) * BLOCK + 1, block * BLOCK + 1))

    def take(self) -> int:
        """See Numbers.take."""
        if not self._ids:
            raise RetryLater("Too many frames at once; try again in a moment.")
        return self._ids.popleft()

    async def _ask(self, statement: str) -> list[tuple[Any, ...]]:
        with reaching():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(statement.encode())
                return await cursor.fetchall()
