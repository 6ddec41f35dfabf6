"""The console's first page, and how the service is doing: read models, policies, dead letters, limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from api.health import QUEUED
from api.serving import AnyRequest, in_thread, serving_of
from api.web.console.asking import changer, console_page, looker
from api.web.console.frame_pages import SEARCHED
from application.history import entries
from domain.errors import NotFound
from projections.frames.search import FrameSearch

SHOWN = 100


@get("/")
async def overview(request: AnyRequest) -> Response[str]:
    """What there is, and whether all is well."""
    viewer = await looker(request)
    serving = serving_of(request)
    now, link = serving.core.clock.now(), serving.link(request)
    newest = await serving.frames.page(FrameSearch(), viewer, now, link, limit=10, related=False)
    return console_page(
        request,
        viewer,
        "overview.html",
        newest=newest,
        state=await _state(request),
        searched={"basename": SEARCHED["basename"]},
    )


@get("/service")
async def service(request: AnyRequest) -> Response[str]:
    """Every follower of the log with its position, what was set aside, and who has asked how often."""
    viewer = await looker(request)
    settings = serving_of(request).core.settings
    rates = {name: settings.texts[f"STARFERRY_THROTTLE_{name.upper()}"] for name in ("anonymous", "user")}
    return console_page(request, viewer, "service.html", state=await _state(request), rates=rates)


@get("/events/{position:int}")
async def show_event(request: AnyRequest, position: FromPath[int]) -> Response[str]:
    """One event as it is in the log, for superusers."""
    viewer = await changer(request)
    if not 0 < position < 2**62:
        raise NotFound("There is no such event.")
    batch = await in_thread(serving_of(request).core.log.read, position - 1, 1)
    if not batch.events or batch.events[0].position != position:
        raise NotFound("There is no such event.")
    (entry,) = entries(batch.events)
    content = msgspec.json.format(msgspec.json.encode(entry.data), indent=2).decode()
    return console_page(request, viewer, "event.html", entry=entry, content=content)


async def _state(request: AnyRequest) -> dict[str, Any]:
    async with serving_of(request).pool.connection() as connection:

        async def rows(statement: str) -> list[Any]:
            return await (await connection.execute(statement.encode())).fetchall()

        ((head,),) = await rows("SELECT coalesce(max(notification_id), 0) FROM starferry.starferry_events")
        models = await rows("SELECT name, position, failure FROM starferry.projection ORDER BY name")
        policies = await rows("SELECT name, position FROM starferry.consumer ORDER BY name")
        transfers = await rows("SELECT status, count(*) FROM read_transfers.transfer GROUP BY 1 ORDER BY 1")
        ((users,),) = await rows("SELECT count(*) FROM read_accounts.account")
        ((dead,),) = await rows("SELECT count(*) FROM starferry.dead_letter")
        letters = await rows(
            f"SELECT consumer, position, stream, at FROM starferry.dead_letter ORDER BY at DESC LIMIT {SHOWN}"
        )
        ((queued,),) = await rows(QUEUED)
        counted = await rows(
            "SELECT who, requests, since, until FROM starferry.throttle WHERE until > now() "
            f"ORDER BY requests DESC, who LIMIT {SHOWN}"
        )
    return {
        "at": datetime.now(UTC),
        "head": head,
        "models": [(name, position, max(0, head - position), failure) for name, position, failure in models],
        "policies": [(name.removeprefix("policy:"), at) for name, at in policies if at],
        "transfers": transfers,
        "users": users,
        "dead": dead,
        "letters": letters,
        "queued": queued,
        "counted": counted,
    }
