"""One who listens to what happens to transfers: what they may hear, and what waits to be sent to them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from application.permissions import Audience, Principal
from application.transfer_news import News, Progress

MOST_WAITING = 1000
"""Messages, of half a kilobyte each, that wait for a listener who reads slowly."""
RECONNECT_MILLISECONDS = 2000

SUPERUSERS = "superusers"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of news, and the message that all its hearers get. `names` are those that hearers go by; `position` is
    None for what isn't in the log."""

    position: int | None
    news: News | Progress
    names: frozenset[str]
    message: bytes

    @classmethod
    def of(cls, news: News, audience: Audience) -> Told:
        """The news for this audience."""
        message = b"id: %d\nevent: %s\ndata: %s\n\n" % (news.position, news.kind.encode(), msgspec.json.encode(news))
        return cls(position=news.position, news=news, names=_names(audience), message=message)

    @classmethod
    def passing(cls, progress: Progress, audience: Audience) -> Told:
        """Progress that is in no event: it has no id, so that nobody goes on from there."""
        message = b"event: progress\ndata: %s\n\n" % msgspec.json.encode(progress)
        return cls(position=None, news=progress, names=_names(audience), message=message)


class Listener:
    """Belongs to one event loop. `names` are those under which it hears of something."""

    def __init__(self, viewer: Principal, filters: Mapping[str, str]) -> None:
        proposals = {f"proposal:{proposal}" for proposal in viewer.proposals}
        superuser = {SUPERUSERS} if viewer.is_superuser else set()
        self.names = frozenset({f"user:{viewer.username}", *proposals, *superuser})
        self.gone = False
        self._filters = filters
        self._waiting: deque[Told] = deque()
        self._woken = asyncio.Event()

    def hears(self, told: Told) -> bool:
        """Whether this is for it."""
        return not self.names.isdisjoint(told.names) and all(
            getattr(told.news, name) == value for name, value in self._filters.items()
        )

    def tell(self, told: Told) -> None:
        """Have this sent, if it is for it. Whoever doesn't keep up is sent away."""
        if not self.hears(told):
            return
        if len(self._waiting) >= MOST_WAITING:
            self.send_away()
            return
        self._waiting.append(told)
        self._woken.set()

    def send_away(self) -> None:
        """End the stream at once. The client comes back with the position that it had."""
        self.gone = True
        self._woken.set()

    async def next(self, seconds: float) -> Told | None:
        """What comes next; None when nothing did for so long, or the stream has ended."""
        if not self._waiting and not self.gone:
            self._woken.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), seconds)
        return self._waiting.popleft() if self._waiting and not self.gone else None


def _names(audience: Audience) -> frozenset[str]:
    proposal = {f"proposal:{audience.proposal}"} if audience.proposal else set()
    return frozenset({SUPERUSERS, *(f"user:{name}" for name in audience.names), *proposal})


def opening(position: int) -> bytes:
    """The first message: where the stream begins, so that one that breaks at once can be taken up again."""
    return b'retry: %d\nid: %d\nevent: open\ndata: {"position":%d}\n\n' % (RECONNECT_MILLISECONDS, position, position)


def still_here(position: int) -> bytes:
    """A heartbeat, which no program hears of; a stream that breaks later is taken up from here."""
    return b": still here\nid: %d\n\n" % position
