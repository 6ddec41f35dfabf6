"""Gives the events of the log to programs that follow it: pages that may be waited for, and streams.

Each listener reads the log itself, as fast as it takes what it is sent; what it hasn't read is in the log, nowhere
else. So nothing is left out, and the position of the last event is all that anybody has to remember.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Protocol

import msgspec
import psycopg
import structlog

from api.listener import opening, still_here
from api.threads import in_thread
from application.event_search import EventSearch, Found
from application.history import entry_of
from application.ports.audit import EventFilter
from domain.errors import RetryLater, StarferryError
from domain.event import Recorded

logger = structlog.get_logger()

HEARTBEAT_SECONDS = 15.0
LIFETIME_SECONDS = 900.0
BATCH = 100
"""Events of a stream that are read and sent at a time."""
MOST_LISTENERS = 50
"""In a process, streams and pages that are waited for together: each holds a connection of a client open."""
BEHIND_SECONDS = (0.05, 1.0)
"""Between two looks at an index that hasn't reached the log's head yet: at first, and at most (it may have stopped)."""
TROUBLES = (StarferryError, psycopg.Error)

May = Callable[[], Awaitable[bool]]


class Wakeup(Protocol):
    """What tells that the log has grown, as adapters/event_store/follow.Wakeup."""

    def on_growth(self, callback: Callable[[], None]) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a program asks for: events like these after a position, whole or without headers."""

    wanted: EventFilter
    after: int
    headers: bool = False


class EventFeed:
    """Belongs to one event loop."""

    def __init__(
        self,
        search: EventSearch,
        wakeup: Wakeup,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
        lifetime: float = LIFETIME_SECONDS,
        most: int = MOST_LISTENERS,
    ) -> None:
        self._search = search
        self._wakeup = wakeup
        self._heartbeat = heartbeat
        self._lifetime = lifetime
        self._most = most
        self._waiting: set[asyncio.Event] = set()
        self._listening = False
        self._closed = False

    def __len__(self) -> int:
        """How many listen."""
        return len(self._waiting)

    async def head(self) -> int:
        """The highest position there is. Raises RetryLater."""
        return await in_thread(self._search.log.head)

    async def page(self, question: Question, limit: int, wait: float = 0.0) -> Found:
        """The next wanted events; when there are none, those that come within `wait` seconds. Raises RetryLater, also
        when too many wait."""
        if wait <= 0:
            return await self._next(question, question.after, limit)
        ends = _now() + wait
        with self._place() as woken:
            after, patience = question.after, _Patience()
            while True:
                woken.clear()
                found = await self._next(question, after, limit)
                after = found.next
                left = ends - _now()
                if found.events or left <= 0 or self._closed:
                    return found
                await self._until_growth(woken, after, left, patience)

    def check_place(self) -> None:
        """Raise RetryLater when too many listen already."""
        if len(self._waiting) >= self._most:
            raise RetryLater("Too many programs follow the events here; try again shortly.", retry_after=5)

    async def stream(self, question: Question, may: May) -> AsyncIterator[bytes]:
        """Server-sent events from a position on, until the listener goes, may no longer listen, or has listened for
        long; it comes again then with the last id."""
        try:
            with self._place() as woken:
                async with contextlib.aclosing(self._told(question, may, woken)) as messages:
                    async for message in messages:
                        yield message
        except TROUBLES as error:  # the stream ends, and the client comes back
            logger.warning("a stream of events broke", error=type(error).__name__)

    def send_away(self) -> None:
        """End all streams and waits: the process stops."""
        self._closed = True
        self._wake()

    async def close(self) -> None:
        """Stop following."""
        self.send_away()
        if self._listening:
            await in_thread(self._wakeup.stop)

    async def _told(self, question: Question, may: May, woken: asyncio.Event) -> AsyncGenerator[bytes, None]:
        told, ends = _now(), _now() + self._lifetime
        position, patience = question.after, _Patience()
        yield opening(position)
        while not self._closed and (left := ends - _now()) > 0 and await may():
            woken.clear()
            found = await self._next(question, position, BATCH)
            position = found.next
            if found.events:
                patience = _Patience()
                yield b"".join(_message(recorded, headers=question.headers) for recorded in found.events)
                told = _now()
                continue
            await self._until_growth(woken, position, min(left, told + self._heartbeat - _now()), patience)
            if _now() >= told + self._heartbeat:
                yield still_here(position)
                told = _now()

    async def _next(self, question: Question, after: int, limit: int) -> Found:
        return await in_thread(self._search.forward, question.wanted, after=after, limit=limit)

    async def _until_growth(self, woken: asyncio.Event, after: int, seconds: float, patience: _Patience) -> None:
        """Wait until there may be something after a position, for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                if await self.head() > after:  # the index is behind
                    await asyncio.sleep(patience.pause())
                    return
                while not self._closed:
                    await woken.wait()
                    woken.clear()
                    if await self.head() > after:
                        return

    @contextlib.contextmanager
    def _place(self) -> Iterator[asyncio.Event]:
        self.check_place()
        if not self._listening:
            self._listening = True
            loop = asyncio.get_running_loop()
            self._wakeup.on_growth(partial(_from_thread, loop, self._wake))
            self._wakeup.start()
        woken = asyncio.Event()
        self._waiting.add(woken)
        try:
            yield woken
        finally:
            self._waiting.discard(woken)

    def _wake(self) -> None:
        for woken in self._waiting:
            woken.set()


class _Patience:
    """How long to wait for the index, the longer the oftener one has waited."""

    def __init__(self) -> None:
        self._pause, self._longest = BEHIND_SECONDS

    def pause(self) -> float:
        """Seconds, from now until the next look."""
        pause, self._pause = self._pause, min(self._pause * 2, self._longest)
        return pause


def _from_thread(loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(wake)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _message(recorded: Recorded, *, headers: bool) -> bytes:
    data = msgspec.json.encode(entry_of(recorded, headers=headers))
    return b"id: %d\ndata: %s\n\n" % (recorded.position, data)
