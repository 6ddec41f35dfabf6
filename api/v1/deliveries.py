"""`/api/v1/deliveries`: frames that are in the archive already go to a destination (S37)."""

from __future__ import annotations

import msgspec
from litestar import Response, post

from api.frame_query import parse_query
from api.operations import backfill
from api.read_gate import HEADER
from api.serving import AnyRequest, cause, in_thread, serving_of
from api.v1.answers import body_of, json_answer, read_cursor, write_cursor
from application.commands.deliver_frames import Backfill, Tally
from application.permissions import must_be_known
from domain.errors import InvalidInput
from domain.frame_query import FrameQuery

FRAMES = 5000
"""Looked at in one call, which takes a second or two."""


class DeliveryBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to go where: either an observation's files, or what a query finds for the asker."""

    storage_config: str
    observation: str | None = None
    query: str | None = None
    dry_run: bool = False
    cursor: str = ""


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What a call did, or would do. `next_cursor` is null when there is no more."""

    dry_run: bool
    frames: int
    files: int
    bytes: int
    files_of_unknown_size: int
    already: dict[str, int]
    unwanted: int
    gone: int
    next_cursor: str | None


@post("/deliveries", status_code=200)
async def deliver(request: AnyRequest) -> Response[bytes]:
    """Request copies of what is in the archive, or count them first; a bounded number of frames a call."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    body = await body_of(request, DeliveryBody)
    core = serving.core
    if (body.observation is None) == (body.query is None):
        raise InvalidInput("Say what to deliver: either an observation, or a query.", field="query")
    wanted: FrameQuery | str
    if body.observation is not None:
        wanted = body.observation
    else:
        science = core.settings["SCIENCE_CONFIGURATION_TYPES"]
        wanted = parse_query(body.query or "", core.sky, types=serving.types.known(), science_types=science)
    carrying = backfill(
        core, cause(principal, "api", "backfill"), principal, body.storage_config, wanted, dry_run=body.dry_run
    )
    tally, after = await in_thread(_some, carrying, read_cursor(body.cursor) if body.cursor else 0)
    position = await in_thread(core.log.head)
    if not body.dry_run:
        serving.gate.wrote(principal.username, position)
    answer = Delivered(
        dry_run=body.dry_run,
        next_cursor=None if after is None else write_cursor(after),
        **{name: getattr(tally, name) for name in Tally.__struct_fields__},
    )
    return json_answer(answer, headers={HEADER: str(position)})


def _some(carrying: Backfill, after: int) -> tuple[Tally, int | None]:
    """What the next frames add up to, and where to go on if there are more."""
    tally, looked = Tally(), 0
    for reached, batch, size in carrying.batches(after):
        tally, looked = tally + batch, looked + size
        if looked >= FRAMES:
            return tally, reached
    return tally, None
