"""`/api/v1/audit/{kind}/{id}/state`: what one thing was as of a position or a time, beside its history."""

from __future__ import annotations

from litestar import Response, get
from litestar.params import FromPath

from api.ocs.filters import boolean
from api.ocs.time_travel import place_of
from api.serving import AnyRequest, Serving, in_thread, serving_of
from api.v1.answers import json_answer
from api.v1.audit import must_see
from application.commands.transfers import may_see_transfer
from application.permissions import Principal, must_be_known
from application.states import State, state_of
from domain.transfers import transfer_id


@get("/audit/{kind:str}/{name:str}/state")
async def state(request: AnyRequest, kind: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """What one thing was, for those who may see its history."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    kind = kind.replace("-", "_")
    text = request.query_params.get("at", "")
    at = place_of(text) if text else None
    await must_see(request, viewer, kind, name)
    headers = boolean(request.query_params.get("headers")) is True
    found = await in_thread(state_of, serving.core.log, kind, name, at=at, headers=headers)
    if kind == "frame" and not viewer.is_superuser:
        await _leave_out_others_copies(serving, viewer, found)
    return json_answer(found)


async def _leave_out_others_copies(serving: Serving, viewer: Principal, found: State) -> None:
    """Where else a frame's files go is told of transfers that the viewer may see."""
    seen = []
    for version, config in found.state["copies"]:
        if await in_thread(may_see_transfer, serving.core.log, viewer, transfer_id(version, config)):
            seen.append((version, config))
    found.state["copies"] = seen
