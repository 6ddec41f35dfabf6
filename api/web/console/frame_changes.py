"""What superusers do to a frame in the console: change its record, delete it."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from api.ocs.body_fields import Fields, choice, read_record
from api.ocs.record_body import RecordBody
from api.serving import AnyRequest, cause, in_thread, serving_of
from api.web.console.asking import changer, console_page, form_of, go_to
from api.web.console.frame_pages import FIELDS, frame_page, visible_frame
from application.commands.frames import amend_frame, delete_frame
from application.permissions import Principal
from domain import frames
from domain.event import Cause

NULLABLE = ("observation_date", "public_date", "exposure_time", "observation_id", "request_id")
CHANGED_MEANWHILE = "Somebody else has changed this frame meanwhile. These are its values now; please look again."


@post("/frames/{frame_id:str}/edit")
async def change_frame(request: AnyRequest, frame_id: FromPath[str]) -> Response[Any] | Redirect:
    """Change fields of a frame's record, as PATCH does."""
    viewer = await changer(request)
    row = await visible_frame(request, viewer, frame_id)
    serving, core = serving_of(request), serving_of(request).core
    form = await form_of(request)
    given = {name: form[name].strip() for name in FIELDS if name in form}
    frame = frames.fold(await serving.log.load(frames.stream_of(row.basename)))
    if form.get("stream_version") != str(frame.stream_version):
        return await frame_page(request, viewer, row, complaint=CHANGED_MEANWHILE, status=409)
    fields = _read(given, serving.types.known())
    if fields.errors:
        return await frame_page(request, viewer, row, given=given, errors=fields.errors, status=400)
    why = _why(viewer, form)
    before = await in_thread(core.log.head)
    position = await in_thread(amend_frame, core.log, core.clock, why, row.basename, fields.values)
    serving.gate.wrote(viewer.username, position)
    return go_to(f"/admin/frames/{row.id}/", "changed" if position > before else "nothing")


@get("/frames/{frame_id:str}/delete")
async def confirm_deletion(request: AnyRequest, frame_id: FromPath[str]) -> Response[str]:
    """What would go, and a button."""
    viewer = await changer(request)
    row = await visible_frame(request, viewer, frame_id)
    serving = serving_of(request)
    transfers = await serving.deliveries.transfers(viewer, {"frame": row.basename}, below=2**62, limit=1000)
    unfinished = [one for one in transfers if one["status"] in ("pending", "in_progress")]
    return console_page(
        request,
        viewer,
        "frame_delete.html",
        row=row,
        thumbnails=row.thumbnails if isinstance(row.thumbnails, list) else [],
        unfinished=unfinished,
    )


@post("/frames/{frame_id:str}/delete")
async def remove_frame(request: AnyRequest, frame_id: FromPath[str]) -> Redirect:
    """Delete a frame with all that belongs to it, as DELETE does."""
    viewer = await changer(request)
    row = await visible_frame(request, viewer, frame_id)
    serving, core = serving_of(request), serving_of(request).core
    why = _why(viewer, await form_of(request))
    position = await in_thread(delete_frame, core.log, core.clock, why, row.basename)
    serving.gate.wrote(viewer.username, position)
    return go_to("/admin/frames/", "deleted")


def _read(given: dict[str, str], types: list[str] | tuple[str, ...]) -> Fields:
    """The form's fields, checked as those of a PATCH; an empty one that may be null is null."""
    sent = {name: None if name in NULLABLE and not value else value for name, value in given.items()}
    fields = Fields(msgspec.convert(sent, RecordBody))
    read_record(fields, complete=False)
    fields.read("configuration_type", lambda value: choice(value, types))
    return fields


def _why(viewer: Principal, form: dict[str, str]) -> Cause:
    return cause(viewer, "console", form.get("reason", "").strip()[:500])
