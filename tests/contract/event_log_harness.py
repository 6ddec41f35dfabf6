"""The event logs under one suite: each opened on a database of its own, and small events to fill them with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.group_commit import GroupCommitLog
from adapters.event_store.log import PostgresEventLog
from application.ports.event_log import Batch, Commit, EventLog, Write
from domain.errors import StarferryError
from domain.event import Cause, Event, Recorded
from domain.transfer_events import TransferHeld

T = TypeVar("T")
NOW = datetime(2024, 3, 10, 4, 5, 6, 789000, tzinfo=UTC)
CAUSE = Cause(actor="edwin", via="api", correlation="c0ffee", causation=3, reason="because")


def held(text: str) -> Event:
    """A small event that is told from others by its text."""
    return TransferHeld(reason=text)


def write(stream: str, expected: int, *texts: str) -> Write:
    """Events with these texts for a stream."""
    return Write(stream, expected, tuple(held(text) for text in texts))


def commit(
    *writes: Write,
    claims: Sequence[str] = (),
    releases: Sequence[str] = (),
    guards: Sequence[tuple[str, int]] = (),
) -> Commit:
    """A commit by CAUSE at NOW."""
    return Commit(
        writes=writes, cause=CAUSE, at=NOW, claims=tuple(claims), releases=tuple(releases), guards=tuple(guards)
    )


def texts(events: Sequence[Recorded]) -> list[str]:
    """The texts of small events."""
    return [recorded.event.reason for recorded in events]  # type: ignore[attr-defined]


class Facade:
    """A GroupCommitLog on an event loop of its own, as an EventLog: what it lacks is answered by `beside`."""

    def __init__(self, log: GroupCommitLog, loop: asyncio.AbstractEventLoop, beside: EventLog) -> None:
        self.log = log
        self._loop = loop
        self._beside = beside

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives on the log's loop. No append takes a minute; a hang is told from a wait."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def append(self, commit: Commit) -> int:
        return self.run(self.log.append(commit))

    def append_all(self, commits: Sequence[Commit]) -> list[int | StarferryError]:
        return self._beside.append_all(commits)

    def load(self, stream: str) -> Sequence[Recorded]:
        return self.run(self.log.load(stream))

    def append_together(self, commits: Sequence[Commit]) -> list[int | BaseException]:
        """Append all at once; for each the position, or what was raised."""

        async def together() -> list[int | BaseException]:
            return await asyncio.gather(*(self.log.append(commit) for commit in commits), return_exceptions=True)

        return self.run(together())

    def append_tracked(self, commits: Sequence[Commit], consumer: str, position: int) -> None:
        self._beside.append_tracked(commits, consumer, position)

    def load_many(self, streams: Sequence[str]) -> Mapping[str, Sequence[Recorded]]:
        return self._beside.load_many(streams)

    def load_at(self, positions: Sequence[int]) -> Sequence[Recorded]:
        return self._beside.load_at(positions)

    def read(self, after: int, limit: int, *, upto: int | None = None, topics: Collection[str] | None = None) -> Batch:
        return self._beside.read(after, limit, upto=upto, topics=topics)

    def claimed(self, names: Sequence[str]) -> frozenset[str]:
        return self._beside.claimed(names)

    def head(self) -> int:
        return self._beside.head()

    def checkpoint(self, consumer: str) -> int:
        return self._beside.checkpoint(consumer)

    def enter(self, consumer: str) -> None:
        self._beside.enter(consumer)


@contextmanager
def postgres_log(conninfo: str) -> Iterator[PostgresEventLog]:
    """A log for threads, closed at the end."""
    log = PostgresEventLog(conninfo)
    try:
        yield log
    finally:
        log.close()


@contextmanager
def group_commit_log(conninfo: str) -> Iterator[Facade]:
    """A log for an event loop, which runs in a thread until the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def opened() -> AsyncConnectionPool:
        pool = AsyncConnectionPool(
            conninfo, min_size=2, max_size=4, kwargs={"autocommit": True}, open=False, timeout=60
        )
        await pool.open(wait=True)
        return pool

    try:
        with postgres_log(conninfo) as beside:
            pool = asyncio.run_coroutine_threadsafe(opened(), loop).result(30)
            try:
                yield Facade(GroupCommitLog(pool), loop, beside)
            finally:
                asyncio.run_coroutine_threadsafe(pool.close(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


class Shared:
    """Both logs on one database, which can be emptied: much faster than a database for each of many small tests."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._stack = ExitStack()

    def __enter__(self) -> Shared:
        self.postgres = self._stack.enter_context(postgres_log(self._conninfo))
        self.group_commit = self._stack.enter_context(group_commit_log(self._conninfo))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def empty(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.execute(
                "TRUNCATE starferry.starferry_events, starferry.claim, starferry.consumer RESTART IDENTITY"
            )
