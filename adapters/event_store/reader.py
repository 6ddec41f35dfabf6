"""Reads stretches of the log on an event loop, for those who follow a few of its topics."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.mapper import EventMapper, ReadRow
from adapters.event_store.reaching import reaching
from adapters.event_store.recorder import COLUMNS
from application.ports.event_log import Batch
from domain.event import Recorded

STRETCH = 20_000
"""Positions that one query looks at: what isn't wanted among them is left out by the server, and not sent."""

_HEAD = "SELECT coalesce(max(notification_id), 0) FROM starferry.starferry_events"
_NEXT = (
    f"SELECT {COLUMNS} FROM starferry.starferry_events WHERE notification_id > %s AND notification_id <= %s "
    "AND topic = ANY(%s) ORDER BY notification_id LIMIT %s"
)
_FIRST = f"SELECT {COLUMNS} FROM starferry.starferry_events WHERE originator_id = ANY(%s) AND originator_version = 1"


class LogReader:
    """Belongs to one event loop. Every method may raise RetryLater."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool
        self._mapper = EventMapper()

    async def head(self) -> int:
        """The highest committed position; 0 when the log is empty."""
        ((head,),) = await self._rows(_HEAD)
        return int(head)

    async def read(self, after: int, limit: int, topics: Collection[str]) -> Batch:
        """As EventLog.read, of these topics alone."""
        upto = min(await self.head(), after + STRETCH)
        if upto <= after:
            return Batch((), after)
        rows = await self._rows(_NEXT, after, upto, list(topics), limit)
        found = self._mapper.recorded(map(ReadRow._make, rows))
        return Batch(found, found[-1].position if len(rows) == limit else upto)

    async def first(self, streams: Sequence[str]) -> Mapping[str, Recorded]:
        """The first event of each of these streams that has one."""
        rows = await self._rows(_FIRST, list(streams)) if streams else []
        return {recorded.stream: recorded for recorded in self._mapper.recorded(map(ReadRow._make, rows))}

    async def _rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with reaching():
            async with self._pool.connection() as connection:
                cursor = connection.cursor(binary=True, row_factory=tuple_row)
                await cursor.execute(statement.encode(), parameters, prepare=True)
                return await cursor.fetchall()
