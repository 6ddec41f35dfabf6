"""The event log for an event loop: appends that wait at the same time share one transaction and one fsync.

While a transaction is on its way to disk the next commits gather; each gets its own answer. Measured in
tests/benchmarks (append): some ten times the rate of one transaction a command.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import LiteralString

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.append import STATEMENT, Batch
from adapters.event_store.mapper import EventMapper, ReadRow, StoredRow
from adapters.event_store.names import storable
from adapters.event_store.reaching import reaching
from adapters.event_store.recorder import COLUMNS
from application.ports.event_log import Commit
from domain.errors import NotFound, RetryLater
from domain.event import Recorded

MAX_EVENTS = 500
MAX_BYTES = 4_000_000
"""A transaction stays small enough that those who wait behind it don't notice."""

MOST_WAITING = 5_000
"""Commits that may wait for their turn: some seconds' worth. Beyond that a client hears at once that it must try later,
instead of waiting until it gives up."""

_Member = tuple[Commit, list[StoredRow], "asyncio.Future[int]"]


class GroupCommitLog:
    """Implements AsyncEventLog. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[object, ...]]]) -> None:
        self._pool = pool
        self.mapper = EventMapper()
        self._waiting: deque[_Member] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def append(self, commit: Commit) -> int:
        """See EventLog.append. Raises RetryLater too when too many commits wait already."""
        if len(self._waiting) >= MOST_WAITING:
            raise RetryLater(
                "More is being written than the archive can keep up with; try again shortly.", retry_after=2
            )
        stored = self.mapper.stored_commit(commit)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((commit, stored, future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
            self._writer.add_done_callback(self._written)
        return await future

    async def load(self, stream: str) -> Sequence[Recorded]:
        """See EventLog.load."""
        if not storable(stream):
            return ()
        return await self._select("originator_id = %s ORDER BY originator_version", stream)

    async def event_at(self, position: int) -> Recorded:
        """The event at a position. Raises NotFound when there is none."""
        found = await self._select("notification_id = %s", position)
        if not found:
            raise NotFound(f"There is no event at position {position}.")
        return found[0]

    async def _select(self, where: LiteralString, value: str | int) -> Sequence[Recorded]:
        with reaching():
            async with self._pool.connection() as connection:
                cursor = connection.cursor(binary=True, row_factory=tuple_row)
                statement = f"SELECT {COLUMNS} FROM starferry.starferry_events WHERE {where}"
                await cursor.execute(statement.encode(), (value,), prepare=True)
                rows = await cursor.fetchall()
        return self.mapper.recorded(map(ReadRow._make, rows))

    async def _write(self) -> None:
        members: list[_Member] = []
        try:
            while self._waiting:
                members = self._take()
                await self._store(members)
        finally:
            _abandon(members)

    def _written(self, writer: asyncio.Task[None]) -> None:
        if writer is self._writer:  # and none has followed: it was cancelled, perhaps before it began
            _abandon(self._waiting)
            self._waiting.clear()

    async def _store(self, members: Sequence[_Member]) -> None:
        batch = Batch()
        for commit, stored, _ in members:
            batch.add(stored, commit)
        try:
            with reaching():
                async with self._pool.connection() as connection:
                    cursor = connection.cursor(row_factory=tuple_row)
                    await cursor.execute(STATEMENT, batch.parameters(), prepare=True)
                    row = await cursor.fetchone()
        except Exception as error:
            if len(members) > 1 and not isinstance(error, RetryLater):
                # the server refused the whole for what must be one member's fault, and stored nothing
                for member in members:
                    await self._store([member])
                return
            for _, _, future in members:
                if not future.done():
                    future.set_exception(error)
            return
        assert row is not None
        for (_, _, future), result in zip(members, batch.results(*row), strict=True):
            if future.done():  # its request was cancelled; the commit stands all the same
                continue
            if isinstance(result, int):
                future.set_result(result)
            else:
                future.set_exception(result)

    def _take(self) -> list[_Member]:
        """The next commits to go together."""
        members: list[_Member] = []
        events = size = 0
        while self._waiting and events < MAX_EVENTS and size < MAX_BYTES and len(members) < MAX_EVENTS:
            members.append(self._waiting.popleft())
            events += len(members[-1][1])
            size += sum(len(event.state) for event in members[-1][1])
        return members


def _abandon(members: Iterable[_Member]) -> None:
    for _, _, future in members:
        if not future.done():
            future.set_exception(RetryLater("The program is stopping."))
