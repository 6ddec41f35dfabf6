"""`/api/v1/audit`: what happened to one thing, for those who may see it; and who did what, for superusers."""

from __future__ import annotations

from litestar import Response, get
from litestar.params import FromPath

from api.serving import AnyRequest, in_thread, serving_of
from api.v1.answers import json_answer, window, write_cursor
from api.v1.event_questions import filter_of, time_of
from application.commands.standing_deliveries import seen_standing_deliveries
from application.commands.transfers import may_see_transfer
from application.event_search import LAST
from application.history import check_kind, entries, frame_life, stream_history
from application.permissions import Principal, must_be_known, must_be_superuser
from domain import webhooks
from domain.errors import NotFound


@get("/audit")
async def search(request: AnyRequest) -> Response[bytes]:
    """Events by what surrounds them, newest first, for superusers."""
    serving = serving_of(request)
    must_be_superuser(await serving.viewer(request))
    wanted = filter_of(request, "limit", "cursor")
    before, limit = window(request)
    log_search = serving.core.event_search()
    before = min(before, LAST)
    found = await in_thread(log_search.backward, wanted, before=before, limit=limit)
    cursor = write_cursor(found.next) if found.next else None
    return json_answer({"results": entries(found.events), "next_cursor": cursor})


@get("/audit/{kind:str}/{name:str}")
async def audit(request: AnyRequest, kind: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """The history of one thing. Superusers may ask for all, others for what they can see."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    kind = kind.replace("-", "_")
    check_kind(kind)
    at = time_of(request, "at")
    await must_see(request, viewer, kind, name)
    core = serving.core
    if kind == "frame":
        rows = await serving.deliveries.transfers(viewer, {"frame": name}, below=2**62, limit=1000)
        ids = [row["id"] for row in rows]
        for transfer in await serving.deliveries.unlisted(name):
            if viewer.is_superuser or await in_thread(may_see_transfer, core.log, viewer, transfer):
                ids.append(transfer)
        history = await in_thread(frame_life, core.log, ids, name, at=at)
    else:
        history = await in_thread(stream_history, core.log, kind, name, at=at)
    return json_answer({"kind": kind, "id": name, "results": history})


async def must_see(request: AnyRequest, viewer: Principal, kind: str, name: str) -> None:
    """Raise NotFound for what the viewer may not see, in the words for what isn't there."""
    if viewer.is_superuser:
        return
    serving = serving_of(request)
    log = serving.core.log

    async def look() -> object:
        match kind:
            case "frame":
                return await serving.frames.by_basename(name, viewer, serving.core.clock.now(), serving.link(request))
            case "transfer":
                return await in_thread(may_see_transfer, serving.core.log, viewer, name)
            case "observation":
                return await serving.deliveries.observations(viewer, below=2**62, limit=1, observation=name)
            case "storage_config":
                return await serving.deliveries.configs(viewer, below=2**62, limit=1, config=name)
            case "standing_delivery":
                return [one for one in await in_thread(seen_standing_deliveries, log, viewer) if one.id == name]
            case "organization" | "project":
                return await serving.groups.groups(viewer, kind, below=2**62, limit=1, group=name)
            case "webhook":
                return webhooks.fold(await in_thread(log.load, webhooks.stream_of(name))).owner == viewer.username
            case "account" | "mail_notices":
                return name == viewer.username
            case _:
                return None

    if not await serving.find(look):
        raise NotFound(f"There is no {kind.replace('_', ' ')} {name}.")
