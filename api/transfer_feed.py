"""Tells everybody who listens what happens to the transfers that they may see, from one follower of the log.

The log is read once a process, however many listen, and only while somebody does. Each listener has a queue; one that
doesn't keep up, or whose account changes, is sent away and comes back with the position that it had (Last-Event-ID).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import Context
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import msgspec
import psycopg
import structlog

from adapters.progress import CHANNEL
from api.listener import Listener, Told, opening, still_here
from api.threads import in_thread
from application.permissions import Audience, Principal
from application.ports.event_log import Batch
from application.transfer_news import TOPICS, Sent, news_of, progress_of
from domain import accounts, transfers
from domain.accounts import AccountChanged, AccountSynced, ProposalsLearned, TokenRevoked
from domain.errors import RetryLater
from domain.event import Recorded
from domain.transfer_events import TransferRequested

logger = structlog.get_logger()

BATCH = 500
HEARTBEAT_SECONDS = 15.0
"""Below the minute after which proxies give up on a silent answer."""
LIFETIME_SECONDS = 900.0
"""Then a listener comes again and says anew who it is: ended sessions leave no trace in the log."""
GATHER_SECONDS = 0.2
"""Between two looks at what workers say: many transfers are then one question of who may see them."""
RETRY_SECONDS = 1.0
REMEMBERED = 10_000
TROUBLES = (RetryLater, psycopg.Error)

RIGHTS = frozenset(event.topic for event in (AccountChanged, AccountSynced, ProposalsLearned, TokenRevoked))
"""What may change who somebody is."""


class Reader(Protocol):
    """The log, as adapters/event_store/reader.LogReader."""

    async def head(self) -> int: ...

    async def read(self, after: int, limit: int, topics: frozenset[str]) -> Batch: ...

    async def first(self, streams: Sequence[str]) -> Mapping[str, Recorded]: ...


class Audiences(Protocol):
    """Who may see transfers, as projections/transfer_audience.AudienceQueries."""

    async def of(self, requests: Sequence[TransferRequested]) -> Mapping[str, Audience]: ...


class Wakeup(Protocol):
    """What tells that the log has grown, as adapters/event_store/follow.Wakeup."""

    def on_growth(self, callback: Callable[[], None]) -> None: ...

    def on_message(self, channel: str, callback: Callable[[str], None]) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed needs. `reached` waits, not for ever, until the read models have a position and says whether they
    do; `forget` drops what is remembered of who has which token."""

    reader: Reader
    audiences: Audiences
    wakeup: Wakeup
    reached: Callable[[int], Awaitable[bool]]
    forget: Callable[[], None]
    heartbeat: float = HEARTBEAT_SECONDS
    lifetime: float = LIFETIME_SECONDS
    gather: float = GATHER_SECONDS


class TransferFeed:
    """Belongs to one event loop."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._position = 0
        self._listeners: dict[str, set[Listener]] = {}
        self._count = 0
        self._joining = asyncio.Lock()
        self._woken = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._listening = False
        self._closed = False
        self._requests: dict[str, TransferRequested] = {}
        self._sent: dict[str, Sent] = {}
        self._teller: asyncio.Task[None] | None = None

    async def listen(
        self, viewer: Principal, filters: Mapping[str, str], after: int | None = None
    ) -> AsyncIterator[bytes]:
        """Server-sent events for one listener, from `after` on or from now, until it goes or is sent away."""
        if self._closed:
            return
        try:
            async with contextlib.aclosing(self._listen(viewer, filters, after)) as messages:
                async for message in messages:
                    yield message
        except TROUBLES as error:  # the stream ends, and the client comes back
            logger.warning("a stream of events broke", error=type(error).__name__)

    async def _listen(
        self, viewer: Principal, filters: Mapping[str, str], after: int | None
    ) -> AsyncGenerator[bytes, None]:
        listener = await self._join(viewer, filters)
        ends = asyncio.get_running_loop().time() + self._means.lifetime
        try:
            joined = self._position
            start = joined if after is None else after
            if start > joined:  # another process was ahead of this one; nobody was ahead of the log
                start = min(start, await self._means.reader.head())
            yield opening(start)
            async for told in self._missed(listener, start, joined):
                yield told.message
            while not listener.gone:
                left = ends - asyncio.get_running_loop().time()
                if left <= 0:
                    return
                told_now = await listener.next(min(left, self._means.heartbeat))
                if told_now is None:
                    yield still_here(max(start, self._position))
                elif told_now.position is None or told_now.position > start:
                    yield told_now.message
        finally:
            self._leave(listener)

    def send_away(self) -> None:
        """End all streams, and let no new one begin: the process stops."""
        self._closed = True
        for listener in self._everybody():
            listener.send_away()

    async def close(self) -> None:
        """Stop following."""
        self.send_away()
        for task in (self._follower, self._teller):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self._listening:
            await in_thread(self._means.wakeup.stop)

    def __len__(self) -> int:
        """How many listen."""
        return self._count

    async def _join(self, viewer: Principal, filters: Mapping[str, str]) -> Listener:
        listener = Listener(viewer, filters)
        async with self._joining:
            if self._follower is None or self._follower.done():
                self._position = await self._means.reader.head()
            for name in listener.names:
                self._listeners.setdefault(name, set()).add(listener)
            self._count += 1
            if self._follower is None or self._follower.done():
                # on its own account, not on that of the request which happens to be the first
                self._follower = asyncio.create_task(self._follow(), context=Context())
        if not self._listening:
            self._listening = True
            loop = asyncio.get_running_loop()
            self._means.wakeup.on_growth(partial(_wake, loop, self._woken))
            self._means.wakeup.on_message(CHANNEL, partial(_pass_on, loop, self._hear))
            self._means.wakeup.start()
        if self._closed:
            listener.send_away()
        return listener

    def _leave(self, listener: Listener) -> None:
        for name in listener.names:
            self._listeners[name].discard(listener)
            if not self._listeners[name]:
                del self._listeners[name]
        self._count -= 1
        self._woken.set()  # the follower ends with the last

    def _everybody(self) -> Iterable[Listener]:
        return {listener for named in self._listeners.values() for listener in named}

    async def _missed(self, listener: Listener, start: int, upto: int) -> AsyncIterator[Told]:
        """What a listener missed between two positions."""
        while start < upto and not listener.gone:
            batch = await self._means.reader.read(start, BATCH, TOPICS)
            events = [recorded for recorded in batch.events if recorded.position <= upto]
            for told in await self._told(events):
                if listener.hears(told):
                    yield told
            start = batch.upto

    async def _follow(self) -> None:
        troubled = False
        while self._count:
            self._woken.clear()
            try:
                batch = await self._means.reader.read(self._position, BATCH, TOPICS | RIGHTS)
                if batch.upto == self._position:
                    await self._woken.wait()
                    continue
                told = await self._told(batch.events)
            except TROUBLES as error:
                if not troubled:
                    logger.warning("those who listen must wait", error=type(error).__name__)
                troubled = True
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except Exception:  # a bug must not end the news for good without a word
                logger.exception("what happened to transfers can't be told; those who listen are sent away")
                for listener in self._everybody():
                    listener.send_away()
                return
            troubled = False
            self._spread(told)
            self._look_again(batch.events)
            self._position = batch.upto

    async def _told(self, events: Sequence[Recorded]) -> list[Told]:
        """The news in these events, each with its audience; once the read models know who that is."""
        mine = [recorded for recorded in events if recorded.event.topic in TOPICS]
        if not mine:
            return []
        while not await self._means.reached(mine[-1].position):
            if self._closed:
                return []
        requests = await self._requests_of(mine)
        audiences = await self._means.audiences.of(list({id(one): one for one in requests.values()}.values()))
        return [
            Told.of(news_of(recorded, requests[recorded.stream]), audiences[requests[recorded.stream].id])
            for recorded in mine
        ]

    async def _requests_of(self, events: Sequence[Recorded]) -> dict[str, TransferRequested]:
        """The requests of these events' transfers, by stream; those seen lately are remembered."""
        if len(self._requests) > REMEMBERED:
            self._requests.clear()
        for recorded in events:
            if isinstance(recorded.event, TransferRequested):
                self._requests[recorded.stream] = recorded.event
        return await self._requests_by_stream([recorded.stream for recorded in events])

    async def _requests_by_stream(self, streams: Iterable[str]) -> dict[str, TransferRequested]:
        wanted = set(streams)
        unknown = sorted(wanted - self._requests.keys())
        for stream, first in (await self._means.reader.first(unknown)).items() if unknown else ():
            assert isinstance(first.event, TransferRequested)
            self._requests[stream] = first.event
        return {stream: self._requests[stream] for stream in wanted if stream in self._requests}

    def _hear(self, payload: str) -> None:
        """A worker says how far a transfer is."""
        if not self._count:
            return
        sent = msgspec.json.decode(payload, type=Sent)
        self._sent[sent.transfer] = sent
        if self._teller is None or self._teller.done():
            self._teller = asyncio.create_task(self._tell_progress())

    async def _tell_progress(self) -> None:
        """Tell what workers have said, some of it at a time; what the log has told meanwhile isn't told any more."""
        while self._sent and not self._closed:
            await asyncio.sleep(self._means.gather)
            said = dict(self._sent)
            try:
                requests = await self._requests_by_stream([transfers.stream_of(transfer) for transfer in said])
                audiences = await self._means.audiences.of(list(requests.values()))
            except Exception as error:  # worth no more: the log tells of what matters
                logger.warning("progress can't be told", error=type(error).__name__)
                self._sent.clear()
                return
            now = datetime.now(UTC)
            news = [
                Told.passing(progress_of(said[request.id], request, now), audiences[request.id])
                for request in requests.values()
                if self._sent.get(request.id) is said[request.id]
            ]
            for transfer, sent in said.items():
                if self._sent.get(transfer) is sent:
                    del self._sent[transfer]
            self._send_to_hearers(news)

    def _spread(self, news: Sequence[Told]) -> None:
        for told in news:
            self._sent.pop(told.news.transfer, None)
        self._send_to_hearers(news)

    def _send_to_hearers(self, news: Iterable[Told]) -> None:
        for told in news:
            hearers: set[Listener] = set()
            for name in told.names:
                hearers |= self._listeners.get(name, set())
            for listener in hearers:
                listener.tell(told)

    def _look_again(self, events: Sequence[Recorded]) -> None:
        """Whoever's account changed must say anew who they are."""
        changed = [recorded.stream for recorded in events if recorded.event.topic in RIGHTS]
        if changed:
            self._means.forget()
        for stream in changed:
            for listener in self._listeners.get(f"user:{stream.removeprefix(accounts.stream_of(''))}", set()):
                listener.send_away()


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
    """From another thread."""
    loop.call_soon_threadsafe(woken.set)


def _pass_on(loop: asyncio.AbstractEventLoop, hear: Callable[[str], None], payload: str) -> None:
    """From another thread."""
    loop.call_soon_threadsafe(hear, payload)
