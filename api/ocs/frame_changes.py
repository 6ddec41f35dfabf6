"""PATCH, PUT and DELETE of `/frames/<id>/` (contracts: 1.9)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from litestar import Response, Router, delete, patch, put
from litestar.params import FromPath
from msgspec import UNSET

from api.ocs.answers import NotVisible, json_answer
from api.ocs.body_fields import NO_SUCH_KEY, Fields, Refused, choice, key, read_record, text_lengths, type_name
from api.ocs.frames import arrival_times, as_created, found, id_in_path, search_of
from api.ocs.negotiation import body_as_json
from api.ocs.record_body import BodyErrors, RecordBody, decoded
from api.read_gate import HEADER
from api.serving import AnyRequest, Serving, cause, in_thread, serving_of
from application.commands.frames import Relations, amend_frame, delete_frame
from application.permissions import Principal, must_be_superuser
from domain import frames
from domain.errors import NotFound
from projections.frames.rows import FrameRow

REMOVAL_SECONDS = 5.0
"""How long an answer waits until deleted bytes are gone, so that the same file may come again at once. Longer isn't
worth it: the deletion itself is recorded."""
POLL_SECONDS = 0.01

KEEPS_NAME = "A frame keeps its basename. Ingest the file under the new name, then delete this frame."
NAME_TAKEN = "frame with this basename already exists."
NO_HEADERS = "Headers can't be changed here; post the frame again with the new ones."
NO_VERSIONS = "Versions can't be changed here; post the frame again with the new version."


class EditBody(RecordBody):
    """What may be in the body; anything else is ignored."""

    related_frames: Any = UNSET


_decoder = msgspec.json.Decoder(EditBody)


@patch("/{frame_id:str}")
async def change_frame(request: AnyRequest, frame_id: FromPath[str]) -> Response[bytes]:
    """Change some fields of a frame's record."""
    return await _change(request, frame_id, complete=False)


@put("/{frame_id:str}")
async def replace_frame(request: AnyRequest, frame_id: FromPath[str]) -> Response[bytes]:
    """The same for a body that has all required fields."""
    return await _change(request, frame_id, complete=True)


@delete("/{frame_id:str}", status_code=204)
async def remove_frame(request: AnyRequest, frame_id: FromPath[str]) -> Response[None]:
    """Delete a frame with all that belongs to it. Its bytes are gone when this answers, unless the store is away."""
    serving = serving_of(request)
    principal, row = await _frame(request, frame_id)
    core = serving.core
    try:
        position = await in_thread(delete_frame, core.log, core.clock, cause(principal, "ocs"), row.basename)
    except NotFound as error:
        raise NotVisible from error
    await files_removed(serving, frames.stream_of(row.basename), position)
    serving.gate.wrote(principal.username, position)
    return Response(None, status_code=204, headers={HEADER: str(position)})


async def files_removed(serving: Serving, stream: str, position: int) -> None:
    """Wait, not for ever, until the bytes are gone that the event at this position gives up."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    while time.monotonic() < deadline:
        history = await serving.log.load(stream)
        deletion = next(recorded.version for recorded in history if recorded.position == position)
        if deletion in frames.fold(history).removed:
            return
        await asyncio.sleep(POLL_SECONDS)


async def _change(request: AnyRequest, frame_id: str, *, complete: bool) -> Response[bytes]:
    serving = serving_of(request)
    principal, row = await _frame(request, frame_id)
    core = serving.core
    fields, ids = _read(serving, await body_as_json(request) or b"{}", complete=complete)
    changes = fields.values
    name = changes.pop("basename", row.basename)
    if name != row.basename:
        fields.errors["basename"] = [await _why_not(serving, name)]
    relations = None
    if ids is not None:
        await serving.gate.catch_up()  # what is linked now must not be missed
        known = await serving.frames.basenames(ids)
        missing = next((one for one in ids if one not in known), None)
        if missing is not None:
            fields.errors["related_frames"] = [NO_SUCH_KEY.format(missing)]
        relations = Relations(tuple(known.values()), tuple(await serving.frames.linked(row.id)))
    if fields.errors:
        raise BodyErrors(fields.errors)
    position = await in_thread(
        amend_frame, core.log, core.clock, cause(principal, "ocs"), row.basename, changes, relations
    )
    serving.gate.wrote(principal.username, position)
    await serving.gate.settle(principal.username)
    answer = json_answer(await _as_changed(serving, request, principal, row))
    answer.headers[HEADER] = str(position)
    return answer


async def _frame(request: AnyRequest, frame_id: str) -> tuple[Principal, FrameRow]:
    """Who asks, and the frame in question. Raises Unauthenticated, Forbidden, NotVisible."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_superuser(principal)
    search = search_of(serving, list(request.query_params.multi_items()))
    number, now, link = id_in_path(frame_id), serving.core.clock.now(), serving.link(request)
    row = await found(serving, lambda: serving.frames.one(number, search, principal, now, link, related=False))
    return principal, row


def _read(serving: Serving, body: bytes, *, complete: bool) -> tuple[Fields, list[int] | None]:
    """The fields that the body changes, with what is wrong with them, and the ids of the related frames."""
    given = decoded(body, _decoder)
    fields = Fields(given)
    types = serving.types.known()
    read_record(fields, complete=complete, lengths=text_lengths(serving.core.settings))
    fields.read("configuration_type", lambda value: choice(value, types), required=complete)
    fields.read("related_frames", _ids)
    if given.headers:
        fields.errors["headers"] = [NO_HEADERS]
    if given.version_set is not UNSET:
        fields.errors["version_set"] = [NO_VERSIONS]
    return fields, fields.values.pop("related_frames", None)


def _ids(value: Any) -> list[int]:
    if not isinstance(value, list):
        raise Refused([f'Expected a list of items but got type "{type_name(value)}".'])
    return [key(one) for one in value]


async def _why_not(serving: Serving, wanted: str) -> str:
    """Why a frame can't get this name."""
    there = frames.fold(await serving.log.load(frames.stream_of(wanted))).exists
    return NAME_TAKEN if there else KEEPS_NAME


async def _as_changed(serving: Serving, request: AnyRequest, principal: Principal, row: FrameRow) -> dict[str, Any]:
    history = await serving.log.load(frames.stream_of(row.basename))
    frame = frames.fold(history)
    if not frame.exists:
        raise NotVisible  # somebody has deleted it meanwhile
    return await as_created(serving, request, principal, frame, arrival_times(history), serving.core.clock.now())


router = Router("/frames", route_handlers=[change_frame, replace_frame, remove_frame])
