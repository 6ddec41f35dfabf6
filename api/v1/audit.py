"""`/api/v1/audit` and `/api/v1/events`: what happened, from the events, for those who may know."""

from __future__ import annotations

from datetime import datetime

from litestar import Response, get
from litestar.params import FromPath

from api.ocs.filters import moment
from api.serving import AnyRequest, in_thread, serving_of
from api.v1.answers import json_answer
from application.commands.standing_deliveries import seen_standing_deliveries
from application.commands.transfers import may_see_transfer
from application.history import entries, frame_life, stream_history
from application.permissions import Principal, must_be_known, must_be_superuser
from domain.errors import InvalidInput, NotFound


@get("/audit/{kind:str}/{name:str}")
async def audit(request: AnyRequest, kind: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """The history of one aggregate. Superusers may ask for all; others for transfers and frames that they can see."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    kind = kind.replace("-", "_")
    await must_see(request, viewer, kind, name)
    at = _time(request.query_params.get("at", ""))
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


@get("/events")
async def events(request: AnyRequest) -> Response[bytes]:
    """The feed of all events after a position, in order, for superusers."""
    serving = serving_of(request)
    must_be_superuser(await serving.viewer(request))
    after = request.query_params.get("after", "0")
    limit = request.query_params.get("limit", "100")
    numbers = all(text.isascii() and text.isdecimal() and len(text) < 19 for text in (after, limit))
    if not numbers or not 1 <= int(limit) <= 1000:
        raise InvalidInput("after is a position, limit a number from 1 to 1000.")
    batch = await in_thread(serving.core.log.read, int(after), int(limit))
    return json_answer({"results": entries(batch.events), "position": batch.upto})


async def must_see(request: AnyRequest, viewer: Principal, kind: str, name: str) -> None:
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
            case _:
                return None

    if not await serving.find(look):
        raise NotFound(f"There is no {kind.replace('_', ' ')} {name}.")


def _time(text: str) -> datetime | None:
    try:
        return moment(text) if text else None
    except ValueError:
        raise InvalidInput("at is a time such as 2026-11-20T12:00:00Z.", field="at") from None
