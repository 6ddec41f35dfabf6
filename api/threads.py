"""Blocking work, off the event loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run blocking work off the event loop."""
    return await anyio.to_thread.run_sync(partial(work, *args, **kwargs))


async def in_thread_of(threads: anyio.CapacityLimiter, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """The same in one of these threads, for work that may hang: the others' are left alone."""
    return await anyio.to_thread.run_sync(partial(work, *args, **kwargs), limiter=threads)
