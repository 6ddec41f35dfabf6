"""What request handlers share: the async side of the wiring, and the little that every handler needs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import psycopg
from litestar import Request
from psycopg_pool import AsyncConnectionPool

from adapters.configdb import ConfigurationTypes
from adapters.event_store.group_commit import GroupCommitLog
from adapters.event_store.numbers import AsyncNumbers
from adapters.event_store.reader import LogReader
from adapters.ingest_metrics import IngestMetrics
from adapters.portal.questions import PortalQuestions
from adapters.throttle_counts import PostgresThrottleCounts
from api.bootstrap import Core
from api.chosen import link_key
from api.correlation import correlation
from api.csrf import Csrf
from api.event_feed import EventFeed
from api.fitting import ModelsFit
from api.password_login import PasswordLogin
from api.password_pace import PasswordPace
from api.portal_calls import PortalCalls
from api.portal_proposals import PortalProposals
from api.portal_users import PortalUsers
from api.provider_calls import ProviderCalls
from api.read_gate import HEADER, ReadGate
from api.replica import FramesPool, Pool
from api.security import Authenticator
from api.settings import Settings
from api.threads import in_thread as in_thread
from api.threads import in_thread_of as in_thread_of
from api.throttles import Throttles
from api.transfer_feed import Means, TransferFeed
from application.permissions import Principal
from domain.event import Cause
from domain.frames import FrameVersion
from projections.delivery_queries import DeliveryQueries
from projections.facets.query import FacetQueries
from projections.frames.as_of import PastPool, past_pool
from projections.frames.as_of import Pool as PastConnections
from projections.frames.files import FileQueries
from projections.frames.past_values import PastValues
from projections.frames.proposals import ProposalQueries
from projections.frames.query import FrameQueries
from projections.frames.rows import Link, path_links
from projections.frames.thumbnails import ThumbnailLink, ThumbnailQueries
from projections.group_queries import GroupQueries
from projections.transfer_audience import AudienceQueries
from projections.webhook_queries import WebhookQueries

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]

OPTIONS = "-c timezone=UTC -c jit=off -c cursor_tuple_fraction=1.0"
"""Candidates of a sky search come through a cursor and are nearly all wanted: plan for the whole, not the first few."""

POOL_SIZE = 8
"""Connections of one API process: two cores gain nothing from more (measured with the list and ingest benchmarks)."""

PAST_POOL_SIZE = 2
"""Questions about the past that are answered at a time: operators', which mustn't hold up everybody else's."""


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """One API process's means."""

    core: Core
    pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]
    log: GroupCommitLog
    numbers: AsyncNumbers
    gate: ReadGate
    authenticator: Authenticator
    passwords: PasswordLogin
    calls: ProviderCalls
    throttles: Throttles
    frames: FrameQueries
    past: PastConnections
    thumbnails: ThumbnailQueries
    facets: FacetQueries
    files: FileQueries
    proposals: ProposalQueries
    deliveries: DeliveryQueries
    groups: GroupQueries
    webhooks: WebhookQueries
    types: ConfigurationTypes
    metrics: IngestMetrics
    feed: TransferFeed
    models: ModelsFit
    events: EventFeed

    async def asker(self, request: AnyRequest, *, throttled: bool = True) -> Principal:
        """Who asks: by token, session or bearer token. Counts the request unless told not to.

        Raises as Authenticator.asker, and Throttled.
        """
        principal = await self.authenticator.asker(request)
        if throttled:
            self.throttles.count(principal, request)
        return principal

    async def viewer(self, request: AnyRequest, *, throttled: bool = True) -> Principal:
        """Who asks, once their own writes can be read. Raises as `asker`."""
        principal = await self.asker(request, throttled=throttled)
        await self.gate.settle(principal.username, request.headers.get(HEADER))
        return principal

    async def find(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` finds; asked again when it found nothing and the read models were behind: another process may
        have written it a moment ago."""
        found = await ask()
        if not found and await self.gate.catch_up():
            found = await ask()
        return found

    def as_of(self, position: int) -> tuple[FrameQueries, PastValues]:
        """Frames as they were at a position, and the values that occurred among them."""
        pool = PastPool(self.past, position)
        as_pool: Any = pool
        frames = FrameQueries(as_pool, self.core.sky, None, files_url=files_url(self.core.settings))
        return frames, PastValues(pool)

    def link(self, request: AnyRequest, versions: Iterable[FrameVersion] = ()) -> Link:
        """What makes download links in this request's answer; `versions` are those that are too new to be looked up."""
        settings = self.core.settings
        if settings["FILESTORE_TYPE"] == "dummy":
            return lambda _, __: ""
        if files_url(settings) and versions:
            return path_links(files_url(settings), {version.id: version.path for version in versions})
        return self.core.links.maker(base_url(self.core, request))

    def thumbnail_link(self, request: AnyRequest) -> ThumbnailLink:
        """The same for thumbnails."""
        return self.core.thumbnail_links.maker(f"{base_url(self.core, request)}/thumbnails")


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
    types = ConfigurationTypes(core.settings["CONFIGURATION_TYPES"], core.settings["CONFIGDB_URL"])
    wait = await in_thread(types.refresh) if types.changing else 0.0
    replica = await _open_replica(core)
    gate = ReadGate(pool, replicated=replica is not None)
    past = past_pool(core.conninfo, OPTIONS, PAST_POOL_SIZE)
    await past.open()
    reads: Any = pool if replica is None else FramesPool(pool, replica)
    facets = FacetQueries(pool)
    calls = PortalCalls(core.portal)
    lists = PortalProposals(calls, PortalQuestions(pool), core.log, core.vault, core.clock, gate)
    portal = PortalUsers(calls, lists, core.log, core.vault, core.clock, gate)
    csrf = Csrf(link_key(core.settings), core.settings["STARFERRY_PUBLIC_URL"])
    throttles = _throttles(core, pool)
    authenticator = Authenticator(pool, gate, csrf, portal)
    feed = TransferFeed(
        Means(
            reader=LogReader(pool),
            audiences=AudienceQueries(pool),
            wakeup=core.wakeup(),
            reached=gate.reached,
            forget=authenticator.forget_tokens,
        )
    )
    events = EventFeed(core.event_search(), core.wakeup())
    models = ModelsFit(pool, {projection.name: projection.version for projection in core.projections()})
    background = [
        asyncio.create_task(_keep_asking(types, wait)),
        asyncio.create_task(throttles.keep_flushing()),
        asyncio.create_task(models.keep_looking()),
    ]
    try:
        yield Serving(
            core=core,
            pool=pool,
            log=GroupCommitLog(pool),
            numbers=AsyncNumbers(pool),
            gate=gate,
            authenticator=authenticator,
            passwords=PasswordLogin(core.passwords, portal, PasswordPace()),
            calls=ProviderCalls(),
            throttles=throttles,
            frames=FrameQueries(reads, core.sky, facets, files_url=files_url(core.settings)),
            past=past,
            thumbnails=ThumbnailQueries(reads),
            facets=facets,
            files=FileQueries(pool),
            proposals=ProposalQueries(pool),
            deliveries=DeliveryQueries(pool),
            groups=GroupQueries(pool),
            webhooks=WebhookQueries(pool),
            types=types,
            metrics=IngestMetrics(core.settings["INGESTER_PROCESS_NAME"]),
            feed=feed,
            models=models,
            events=events,
        )
    finally:
        await feed.close()
        await events.close()
        for task in background:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        with contextlib.suppress(psycopg.Error):
            await throttles.flush()
        await past.close()
        await pool.close()
        if replica is not None:
            await replica.close()


async def _open_replica(core: Core) -> Pool | None:
    """Connections to the replica, if there is one; it may be away now and come later."""
    conninfo = core.settings.reader_conninfo(core.conninfo)
    if not conninfo:
        return None
    kwargs = {"autocommit": True, "prepare_threshold": 1, "options": OPTIONS}
    replica: Pool = AsyncConnectionPool(conninfo, min_size=1, max_size=POOL_SIZE, kwargs=kwargs, open=False)
    await replica.open()
    return replica


def _throttles(core: Core, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> Throttles:
    return Throttles(
        PostgresThrottleCounts(pool),
        anonymous=core.settings["STARFERRY_THROTTLE_ANONYMOUS"],
        user=core.settings["STARFERRY_THROTTLE_USER"],
        trusted=core.settings["STARFERRY_TRUSTED_PROXIES"],
    )


async def _keep_asking(types: ConfigurationTypes, wait: float) -> None:
    """Keep up with ConfigDB; a change there needs no restart here."""
    while types.changing:
        await asyncio.sleep(wait)
        wait = await in_thread(types.refresh)


def serving_of(request: AnyRequest) -> Serving:
    """The means of the process that serves this request."""
    serving: Serving = request.app.state.serving
    return serving


def base_url(core: Core, request: AnyRequest) -> str:
    """How the client reaches us: as the operator says, else as the request says."""
    configured = core.settings["STARFERRY_PUBLIC_URL"]
    return configured or f"{request.scope['scheme']}://{request.headers.get('host', 'localhost')}"


def files_url(settings: Settings) -> str:
    """Where another server offers the files of the local store, with a slash at its end; empty where none does."""
    return str(settings["FILESYSTEM_STORAGE_BASE_URL"]) if settings["FILESTORE_TYPE"] == "local" else ""


def cause(principal: Principal, via: str, reason: str = "") -> Cause:
    """Who and through which way in, as part of this request."""
    return Cause(actor=principal.username, via=via, correlation=correlation(), reason=reason)
