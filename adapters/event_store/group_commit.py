"""The event log for an event loop: appends that wait at the same time share one transaction and one fsync.

While a transaction is on its way to disk the next commits gather; each gets its own answer. Measured in
tests/benchmarks (append): some ten times the rate of one transaction a command.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.append import STATEMENT, Batch
from adapters.event_store.mapper import EventMapper
from application.ports.event_log import Commit
from domain.errors import NotFound, RetryLater
from domain.event import Recorded

MAX_EVENTS = 500
MAX_BYTES = 4_000_000
"""A transaction stays small enough that those who wait behind it don't notice."""


class GroupCommitLog:
    """Implements AsyncEventLog. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[object, ...]]]) -> None:
        self._pool = pool
        self.mapper = EventMapper()
        self._waiting: deque[tuple[Commit, list[StoredEvent], asyncio.Future[int]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def append(self, commit: Commit) -> int:
        """See EventLog.append."""
        stored = self.mapper.stored_commit(commit)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((commit, stored, future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await future

    async def load(self, stream: str) -> Sequence[Recorded]:
        """See EventLog.load."""
        try:
            async with self._pool.connection() as connection:
                cursor = connection.cursor(binary=True, row_factory=tuple_row)
                await cursor.execute(
                    "SELECT originator_version, topic, state FROM starferry.starferry_events "
                    "WHERE originator_id = %s ORDER BY originator_version",
                    (stream,),
                )
                rows = await cursor.fetchall()
        except psycopg.OperationalError as error:
            raise RetryLater("The database can't be reached at the moment.") from error
        return self.mapper.recorded(StoredEvent(stream, version, topic, state) for version, topic, state in rows)

    async def event_at(self, position: int) -> Recorded:
        """The event at a position. Raises NotFound when there is none."""
        async with self._pool.connection() as connection:
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            await cursor.execute(
                "SELECT originator_id, originator_version, topic, state FROM starferry.starferry_events "
                "WHERE notification_id = %s",
                (position,),
            )
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"There is no event at position {position}.")
        recorded: Recorded = self.mapper.to_domain_event(StoredEvent(*row))  # type: ignore[arg-type]
        return recorded

    async def _write(self) -> None:
        while self._waiting:
            members = self._take()
            batch = Batch()
            for commit, stored, _ in members:
                batch.add(stored, commit)
            try:
                async with self._pool.connection() as connection:
                    cursor = connection.cursor(row_factory=tuple_row)
                    await cursor.execute(STATEMENT, batch.parameters(), prepare=True)
                    row = await cursor.fetchone()
                assert row is not None
                results = batch.results(*row)
            except Exception as error:
                for _, _, future in members:
                    if not future.done():
                        future.set_exception(_classify(error))
                continue
            for (_, _, future), result in zip(members, results, strict=True):
                if future.done():  # its request was cancelled; the commit stands all the same
                    continue
                if isinstance(result, int):
                    future.set_result(result)
                else:
                    future.set_exception(result)

    def _take(self) -> list[tuple[Commit, list[StoredEvent], asyncio.Future[int]]]:
        """The next commits to go together. One with guards goes alone: it must see a settled order."""
        members = [self._waiting.popleft()]
        if members[0][0].guards:
            return members
        events = len(members[0][1])
        size = sum(len(event.state) for event in members[0][1])
        while self._waiting and events < MAX_EVENTS and size < MAX_BYTES and not self._waiting[0][0].guards:
            members.append(self._waiting.popleft())
            events += len(members[-1][1])
            size += sum(len(event.state) for event in members[-1][1])
        return members


def _classify(error: Exception) -> Exception:
    if isinstance(error, psycopg.OperationalError):
        return RetryLater("The database can't be reached at the moment.")
    return error
