"""Questions about frames may be answered by a streaming replica of the database (DB_HOST_READER), as long as it has
what the request must see."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

logger = structlog.get_logger()

Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]

FRESH_SECONDS = 1.0
"""How long the replica's position is taken for what it was, where a request asks for nothing in particular."""

MOST_BEHIND = 10_000
"""Events; with more, the replica rests (as /readyz calls a read model behind)."""

AWAY_SECONDS = 5.0
"""After a failure the replica is left alone for so long; meanwhile the writer answers."""

CONNECT_SECONDS = 1.0

WRITER = 2**63
"""A position that no replica has: the request is for the writer."""

needed: ContextVar[int] = ContextVar("needed", default=0)
"""The position that the request at hand must see."""

_POSITION = "SELECT position FROM starferry.projection WHERE name = 'frames'"


class FramesPool:
    """Stands for a pool of connections where frames are asked about: the replica's or the writer's, request by request.
    Belongs to one event loop."""

    def __init__(self, writer: Pool, replica: Pool) -> None:
        self._writer = writer
        self._replica = replica
        self._position = 0
        self._head = 0
        self._looked = 0.0
        self._away_until = 0.0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
        """A connection on which the request's questions can be asked."""
        if not await self._replica_will_do():
            async with self._writer.connection() as connection:
                yield connection
            return
        try:
            async with self._replica.connection() as connection:
                yield connection
        except psycopg.OperationalError as error:
            self._went_away(error)  # this request is told to try again; the next ones go to the writer
            raise

    async def _replica_will_do(self) -> bool:
        position, now = needed.get(), time.monotonic()
        if position == WRITER or now < self._away_until:
            return False
        if position > self._position or now - self._looked > FRESH_SECONDS:
            try:
                await self._look()
            except psycopg.Error as error:
                self._went_away(error)
                return False
        return self._position >= position and self._head - self._position <= MOST_BEHIND

    def _went_away(self, error: psycopg.Error) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        logger.warning("the replica can't be read; the writer answers", reason=type(error).__name__)

    async def _look(self) -> None:
        """How far the replica and the writer are."""
        async with self._replica.connection(timeout=CONNECT_SECONDS) as connection:
            row = await (await connection.execute(_POSITION)).fetchone()
        self._position = row[0] if row else 0
        async with self._writer.connection() as connection:
            row = await (await connection.execute(_POSITION)).fetchone()
        self._head = row[0] if row else 0
        self._looked = time.monotonic()
