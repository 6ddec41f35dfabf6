"""What request handlers share: the async side of the wiring, and the little that every handler needs."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import anyio
import msgspec
import psycopg
from litestar import Request
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.group_commit import GroupCommitLog
from adapters.event_store.numbers import AsyncNumbers
from adapters.ingest_metrics import IngestMetrics
from api.bootstrap import Core
from api.read_gate import HEADER, ReadGate
from api.security import Authenticator
from application.permissions import Principal
from domain.event import Cause
from projections.delivery_queries import DeliveryQueries
from projections.frames.query import FrameQueries
from projections.frames.rows import Link

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]

OPTIONS = "-c timezone=UTC -c jit=off -c cursor_tuple_fraction=1.0"
"""Candidates of a sky search come through a cursor and are nearly all wanted: plan for the whole, not the first few."""

POOL_SIZE = 8
"""Connections of one API process: two cores gain nothing from more (measured with the list and ingest benchmarks)."""


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """One API process's means."""

    core: Core
    pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]
    log: GroupCommitLog
    numbers: AsyncNumbers
    gate: ReadGate
    authenticator: Authenticator
    frames: FrameQueries
    deliveries: DeliveryQueries
    metrics: IngestMetrics

    async def viewer(self, request: AnyRequest) -> Principal:
        """Who asks, once their own writes can be read."""
        principal = await self.authenticator.principal(request.headers.get("authorization"))
        await self.gate.settle(principal.username, request.headers.get(HEADER))
        return principal

    async def find(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` finds; asked again when it found nothing and the read models were behind: another process may
        have written it a moment ago."""
        found = await ask()
        if not found and await self.gate.catch_up():
            found = await ask()
        return found

    def link(self, request: AnyRequest) -> Link:
        """What makes download links in this request's answer."""
        return self.core.links.maker(base_url(self.core, request))


@asynccontextmanager
async def open_serving(core: Core) -> AsyncIterator[Serving]:
    """The async side, for as long as the application runs."""
    pool = AsyncConnectionPool(
        core.conninfo,
        min_size=2,
        max_size=POOL_SIZE,
        kwargs={"autocommit": True, "prepare_threshold": 1, "options": OPTIONS},
        open=False,
    )
    await pool.open(wait=True)
    gate = ReadGate(pool)
    try:
        yield Serving(
            core=core,
            pool=pool,
            log=GroupCommitLog(pool),
            numbers=AsyncNumbers(pool),
            gate=gate,
            authenticator=Authenticator(pool, gate),
            frames=FrameQueries(pool, core.sky),
            deliveries=DeliveryQueries(pool),
            metrics=IngestMetrics(core.settings["INGESTER_PROCESS_NAME"]),
        )
    finally:
        await pool.close()


def serving_of(request: AnyRequest) -> Serving:
    """The means of the process that serves this request."""
    serving: Serving = request.app.state.serving
    return serving


def base_url(core: Core, request: AnyRequest) -> str:
    """How the client reaches us: as the operator says, else as the request says."""
    configured = core.settings["STARFERRY_PUBLIC_URL"]
    return configured or f"{request.scope['scheme']}://{request.headers.get('host', 'localhost')}"


def cause(principal: Principal, via: str, reason: str = "") -> Cause:
    """Who and through which way in, with a new correlation id."""
    return Cause(actor=principal.username, via=via, correlation=secrets.token_hex(8), reason=reason)


async def in_thread(work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run blocking work off the event loop."""
    return await anyio.to_thread.run_sync(partial(work, *args, **kwargs))
