"""The frame queries as of a position: the same statements, asked of the views that past.py makes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from domain.errors import RetryLater

Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]

OPTIONS = "-c plan_cache_mode=force_custom_plan"
"""The best plan depends on the position, which is no parameter of the statements."""

_TABLE = re.compile(rb"\bread_frames\.(frame|version|thumbnail|link)\b")
_BEGIN = (
    b"SELECT set_config('starferry.at', %s, false), "
    b"(SELECT position FROM starferry.projection WHERE name = 'frames' AND failure = '')"
)


def as_of(statement: str | bytes) -> bytes:
    """The statement, asked of the views. Statements are our own constants: what users send travels beside them."""
    return _TABLE.sub(rb"read_frames.\1_as_of", statement.encode() if isinstance(statement, str) else statement)


class PastCursor(psycopg.AsyncCursor[Any]):
    """Runs statements as of the position that its connection is set to."""

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """See AsyncCursor.execute."""
        return await super().execute(as_of(query), params, **options)


class PastServerCursor(psycopg.AsyncServerCursor[Any]):
    """The same for what is fetched bit by bit."""

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """See AsyncServerCursor.execute."""
        return await super().execute(as_of(query), params, **options)


def past_pool(conninfo: str, options: str, size: int) -> Pool:
    """Connections for questions about the past, none before somebody asks. The caller opens and closes it."""
    kwargs: dict[str, Any] = {"autocommit": True, "prepare_threshold": None, "options": f"{options} {OPTIONS}"}
    return AsyncConnectionPool(
        conninfo,
        min_size=0,
        max_size=size,
        kwargs={**kwargs, "cursor_factory": PastCursor},
        configure=_configure,
        open=False,
    )


async def _configure(connection: psycopg.AsyncConnection[Any]) -> None:
    connection.server_cursor_factory = PastServerCursor


class PastPool:
    """Stands for a pool of connections where frames are asked about as of a position."""

    def __init__(self, pool: Pool, position: int) -> None:
        self._pool = pool
        self._position = position

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
        """A connection set to the position. Raises RetryLater while the read model hasn't come so far."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_BEGIN, (str(self._position),))).fetchone()
            if row is None or row[1] is None or row[1] < self._position:
                raise RetryLater("The read model of frames hasn't come to that position yet; try again in a moment.")
            yield connection
