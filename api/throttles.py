"""How many requests a user or an address may make (contracts: 1.13). Counted in memory; the processes tell each other
through the database, in the background, so that a request costs no query."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import psycopg
import structlog
from litestar import Request

from adapters.throttle_counts import Counted, PostgresThrottleCounts
from api.client_address import Network, client_address, from_this_machine
from api.rates import Rate
from application.permissions import Principal
from domain.errors import Throttled

logger = structlog.get_logger()

FLUSH_SECONDS = 1.0
"""How old another process's counts may be; what is let through too much in that time is nobody's concern."""
SWEEP_SECONDS = 600.0
MOST_KEPT = 100_000
"""Windows in memory, some 30 MB; beyond that those that the database knows are forgotten here."""


class _Window(msgspec.Struct):
    """`shared` requests are known to the database, `new` ones aren't yet."""

    since: float
    until: float
    shared: int = 0
    new: int = 0


class Throttles:
    """Counts and refuses. Belongs to one event loop."""

    def __init__(
        self,
        counts: PostgresThrottleCounts,
        *,
        anonymous: Rate | None,
        user: Rate | None,
        trusted: Sequence[Network],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._counts = counts
        self._anonymous = anonymous
        self._user = user
        self._trusted = trusted
        self._now = now
        self._windows: dict[str, _Window] = {}

    def count(self, principal: Principal, request: Request[Any, Any, Any]) -> None:
        """One more request. Raises Throttled when it is one too many; staff and superusers, and programs on this very
        machine, may ask as much as they want."""
        if principal.is_superuser or principal.is_staff:
            return
        rate = self._user if principal.authenticated else self._anonymous
        if rate is None or from_this_machine(request):
            return
        if principal.authenticated:
            self.add(f"user:{principal.username}", rate)
        else:
            self.add(f"address:{client_address(request, self._trusted)}", rate)

    def add(self, who: str, rate: Rate) -> None:
        """One more request of `who`. Raises Throttled."""
        now = self._now()
        window = self._windows.get(who)
        if window is None or window.until <= now:
            window = self._windows[who] = _Window(now, now + rate.seconds)
        if window.shared + window.new >= rate.requests:
            raise Throttled(window.until - now)
        window.new += 1

    async def flush(self) -> None:
        """Tell the other processes what was counted here, and learn what they have."""
        taken = [
            Counted(who, window.since, window.until, window.new) for who, window in self._windows.items() if window.new
        ]
        if taken:
            totals = await self._counts.add(taken)
            for one in taken:
                window, total = self._windows.get(one.who), totals.get(one.who)
                if window is None or total is None or window.since != one.since:
                    continue  # another window has begun meanwhile
                window.new -= one.requests
                window.since, window.until, window.shared = total.since, total.until, total.requests
        if len(self._windows) > MOST_KEPT:
            self._windows = {who: window for who, window in self._windows.items() if window.new}

    async def keep_flushing(self) -> None:
        """Flush again and again, until cancelled; a database that is away is tried again."""
        swept = time.monotonic()
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
                if time.monotonic() - swept > SWEEP_SECONDS:
                    swept = time.monotonic()
                    self._forget_ended()
                    await self._counts.sweep()
            except psycopg.Error as error:
                logger.warning("throttle counts can't be shared at the moment", error=type(error).__name__)

    def _forget_ended(self) -> None:
        now = self._now()
        self._windows = {who: window for who, window in self._windows.items() if window.until > now}
