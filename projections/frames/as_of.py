"""The frame queries as of a position: the same statements, asked of the functions that past.py makes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from domain.errors import RetryLater

_TABLE = re.compile(rb"\bread_frames\.(frame|version|thumbnail|link)\b")
_REACHED = b"SELECT position FROM starferry.projection WHERE name = 'frames' AND failure = ''"


def as_of(statement: str | bytes, position: int) -> bytes:
    """The statement, asked as of a position. Statements are our own constants: what users send travels beside them.

    The position stands in it as a literal, so that it costs little for each row, and the planner knows what it leaves.
    """
    encoded = statement.encode() if isinstance(statement, str) else statement
    return _TABLE.sub(rb"read_frames.\1_as_of(%d)" % position, encoded)


class PastConnection(psycopg.AsyncConnection[Any]):
    """Runs statements as of `position`."""

    position = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = _PastCursor
        self.server_cursor_factory = _PastServerCursor


class _PastCursor(psycopg.AsyncCursor[Any]):
    async def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        assert isinstance(self.connection, PastConnection)
        return await super().execute(as_of(query, self.connection.position), params, **options)


class _PastServerCursor(psycopg.AsyncServerCursor[Any]):
    async def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        assert isinstance(self.connection, PastConnection)
        return await super().execute(as_of(query, self.connection.position), params, **options)


Pool = AsyncConnectionPool[PastConnection]


def past_pool(conninfo: str, options: str, size: int) -> Pool:
    """Connections for questions about the past, none before somebody asks. The caller opens and closes it.

    Nothing is prepared: a position's statements don't come often.
    """
    kwargs = {"autocommit": True, "prepare_threshold": None, "options": options}
    return AsyncConnectionPool(
        conninfo, connection_class=PastConnection, min_size=0, max_size=size, kwargs=kwargs, open=False
    )


class PastPool:
    """Stands for a pool of connections where frames are asked about as of a position."""

    def __init__(self, pool: Pool, position: int) -> None:
        self._pool = pool
        self._position = position

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[PastConnection]:
        """A connection set to the position. Raises RetryLater while the read model hasn't come so far."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_REACHED)).fetchone()
            if row is None or row[0] < self._position:
                raise RetryLater("The read model of frames hasn't come to that position yet; try again in a moment.")
            connection.position = self._position
            yield connection
