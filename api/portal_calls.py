"""Calls that block, kept off the event loop: the portal's have threads of their own, so that a slow portal holds up
nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

import anyio
import structlog

from application.ports.portal import Portal, PortalUser
from domain.errors import RetryLater

logger = structlog.get_logger()
T = TypeVar("T")

AT_ONCE = 16
WAIT_SECONDS = 15.0
"""How long a request waits for the portal, its turn included."""


class PortalCalls:
    """Asks the portal, if there is one. Belongs to one event loop."""

    def __init__(self, portal: Portal | None) -> None:
        self._portal = portal
        self._threads = anyio.CapacityLimiter(AT_ONCE)

    @property
    def configured(self) -> bool:
        """Whether there is a portal."""
        return self._portal is not None

    async def profile(self, scheme: str, token: str) -> PortalUser:
        """See Portal.profile."""
        assert self._portal is not None
        return await self._call(self._portal.profile, scheme, token)

    async def log_in(self, username: str, password: str) -> tuple[str, PortalUser]:
        """See Portal.log_in."""
        assert self._portal is not None
        return await self._call(self._portal.log_in, username, password)

    async def _call(self, ask: Callable[..., T], *args: Any) -> T:
        try:
            with anyio.fail_after(WAIT_SECONDS):
                return await anyio.to_thread.run_sync(
                    partial(ask, *args), limiter=self._threads, abandon_on_cancel=True
                )
        except TimeoutError:
            raise RetryLater("The observation portal is slow to answer; try again shortly.", retry_after=5) from None


class OneAtATime(Generic[T]):
    """Work that several requests want at once is done once, and isn't ended by one of them going away. Belongs to one
    event loop."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[T]] = {}

    def start(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The task under this key, begun unless it runs already."""
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._ended(key, done))
        return task

    async def run(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the task under this key."""
        return await asyncio.shield(self.start(key, work))

    def _ended(self, key: str, task: asyncio.Task[T]) -> None:
        del self._running[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.debug("a question to the portal failed", error=type(error).__name__)
