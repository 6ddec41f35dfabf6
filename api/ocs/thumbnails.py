"""`/thumbnails/`: list, detail, and what superusers do to them (contracts: 1.11)."""

from __future__ import annotations

import time
from typing import Any

from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import FromPath

from api.ocs.answers import NotVisible, json_answer
from api.ocs.body_fields import NO_SUCH_KEY, text_lengths
from api.ocs.filters import FilterErrors, Parameters, parse_controls, whole_number
from api.ocs.frame_changes import files_removed
from api.ocs.frames import arrival_times, as_created, found, id_in_path
from api.ocs.negotiation import body_as_json
from api.ocs.paging import Place, page_link, read_place, write_place
from api.ocs.record_body import BodyErrors, version_conflict
from api.ocs.thumbnail_body import parse_change, parse_thumbnail
from api.read_gate import HEADER
from api.serving import AnyRequest, Serving, base_url, cause, in_thread, serving_of
from application.commands.thumbnails import change_thumbnail, put_thumbnail, remove_thumbnail
from application.permissions import Principal, must_be_superuser
from domain.errors import AlreadyExists, NotFound
from domain.frames import stream_of
from domain.thumbnails import Thumbnail
from projections.frames.keyset import Mark, Order
from projections.frames.thumbnails import ThumbnailLink, ThumbnailRow

BY_ID: Order = (("id", False),)
COUNTED_EXACTLY = ("frame_basename", "observation_id", "request_id")


class NoThumbnail(NotVisible):
    """No such thumbnail, or not for this asker: the same answer."""

    def __init__(self) -> None:
        super().__init__("No Thumbnail matches the given query.")


@get("/")
async def list_thumbnails(request: AnyRequest) -> Response[bytes]:
    """A page of the thumbnails of frames that the asker may see."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    parameters = list(request.query_params.multi_items())
    equal = _filters(serving, parameters)
    settings = serving.core.settings
    controls = parse_controls(
        parameters, default_limit=settings["PAGINATION_DEFAULT_LIMIT"], max_limit=settings["PAGINATION_MAX_LIMIT"]
    )
    limit, offset = controls.limit, controls.offset
    place = read_place(BY_ID, controls.after) if controls.after else None
    page = await serving.thumbnails.page(
        equal,
        viewer,
        serving.core.clock.now(),
        serving.thumbnail_link(request),
        limit=limit,
        offset=offset,
        after=place.mark.values[0] if place and place.offset == offset else None,
        exact_count=any(name in equal for name in COUNTED_EXACTLY) or (controls.force_count and viewer.authenticated),
    )
    address = f"{base_url(serving.core, request)}/thumbnails/"
    following = previous = None
    if page.more:
        after = write_place(BY_ID, Place(Mark((page.rows[-1].id,)), offset=offset + limit))
        following = page_link(address, parameters, (), limit=limit, offset=offset + limit, after=after)
    if offset:
        back = max(0, offset - limit) or None
        previous = page_link(address, parameters, ("offset", "after"), limit=limit, offset=back)
    return json_answer(
        {
            "count": page.count,
            "next": following,
            "previous": previous,
            "results": page.rows,
            "count_estimated": page.estimated,
        }
    )


@get("/{thumbnail_id:str}")
async def thumbnail_detail(request: AnyRequest, thumbnail_id: FromPath[str]) -> Response[bytes]:
    """One thumbnail."""
    viewer = await serving_of(request).viewer(request)
    return json_answer(await _visible(request, viewer, thumbnail_id))


@post("/", status_code=201)
async def create_thumbnail(request: AnyRequest) -> Response[bytes]:
    """Record a thumbnail whose picture the OCS ingester has stored."""
    serving = serving_of(request)
    core = serving.core
    principal = await serving.asker(request)
    must_be_superuser(principal)
    began = time.monotonic()
    arrival, version = parse_thumbnail(
        await body_as_json(request),
        types=serving.types.known(),
        sizes=core.settings["THUMBNAIL_SIZE_CHOICES"],
        path=core.thumbnail_path,
        lengths=text_lengths(core.settings),
    )
    taken = await in_thread(core.log.claimed, [f"md5:{version.md5}", f"key:{version.key}"])
    if taken:
        raise BodyErrors(version_conflict(sorted(taken), [version]))
    kept = await in_thread(
        put_thumbnail, core.log, core.lookups, core.numbers, core.clock, cause(principal, "ocs"), arrival
    )
    serving.gate.wrote(principal.username, kept.position)
    serving.metrics.pictured(time.monotonic() - began)
    history = await serving.log.load(stream_of(arrival.record.basename))
    thumbnail = kept.thumbnail
    answer = json_answer(
        {
            "frame": await as_created(
                serving, request, principal, kept.frame, arrival_times(history), core.clock.now()
            ),
            "size": thumbnail.size,
            "basename": thumbnail.basename,
            "url": serving.thumbnail_link(request)(thumbnail.id, thumbnail.filename),
            "key": thumbnail.key,
            "extension": thumbnail.extension,
        },
        status=201,
    )
    answer.headers[HEADER] = str(kept.position)
    return answer


@patch("/{thumbnail_id:str}")
async def edit_thumbnail(request: AnyRequest, thumbnail_id: FromPath[str]) -> Response[bytes]:
    """Change some fields of a thumbnail."""
    return await _change(request, thumbnail_id, complete=False)


@put("/{thumbnail_id:str}")
async def replace_thumbnail(request: AnyRequest, thumbnail_id: FromPath[str]) -> Response[bytes]:
    """The same for a body that has all fields."""
    return await _change(request, thumbnail_id, complete=True)


@delete("/{thumbnail_id:str}", status_code=204)
async def delete_thumbnail(request: AnyRequest, thumbnail_id: FromPath[str]) -> Response[None]:
    """Delete a thumbnail with its picture."""
    serving = serving_of(request)
    principal, row, frame = await _writable(request, thumbnail_id)
    core = serving.core
    why = cause(principal, "ocs")
    try:
        position = await in_thread(remove_thumbnail, core.log, core.clock, why, frame, row.id)
    except NotFound as error:
        raise NoThumbnail from error
    await files_removed(serving, stream_of(frame), position)
    serving.gate.wrote(principal.username, position)
    return Response(None, status_code=204, headers={HEADER: str(position)})


async def _change(request: AnyRequest, thumbnail_id: str, *, complete: bool) -> Response[bytes]:
    serving = serving_of(request)
    principal, row, frame = await _writable(request, thumbnail_id)
    core = serving.core
    body = await body_as_json(request) or b"{}"
    changes = parse_change(body, sizes=core.settings["THUMBNAIL_SIZE_CHOICES"], complete=complete)
    target = changes.pop("frame", row.frame)
    known = await serving.frames.basenames([target])
    if target not in known:
        raise BodyErrors({"frame": [NO_SUCH_KEY.format(target)]})
    moved_to = known[target] if target != row.frame else ""
    why = cause(principal, "ocs")
    try:
        kept = await in_thread(change_thumbnail, core.log, core.clock, why, frame, row.id, changes, moved_to)
    except AlreadyExists as error:
        raise BodyErrors({"basename": ["thumbnail with this basename already exists."]}) from error
    except NotFound as error:
        raise NoThumbnail from error
    serving.gate.wrote(principal.username, kept.position)
    answer = json_answer(thumbnail_row(kept.thumbnail, kept.frame.id, serving.thumbnail_link(request)))
    answer.headers[HEADER] = str(kept.position)
    return answer


def thumbnail_row(thumbnail: Thumbnail, frame_id: int, link: ThumbnailLink) -> ThumbnailRow:
    """A thumbnail as lists have it."""
    return ThumbnailRow(
        thumbnail.id,
        frame_id,
        thumbnail.size,
        thumbnail.basename,
        thumbnail.extension,
        thumbnail.key,
        link(thumbnail.id, thumbnail.filename),
    )


async def _writable(request: AnyRequest, thumbnail_id: str) -> tuple[Principal, ThumbnailRow, str]:
    """Who asks, the thumbnail, and the basename of its frame. Raises Unauthenticated, Forbidden, NotVisible."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_superuser(principal)
    row = await _visible(request, principal, thumbnail_id)
    known = await serving.frames.basenames([row.frame])
    if row.frame not in known:
        raise NoThumbnail
    return principal, row, known[row.frame]


async def _visible(request: AnyRequest, viewer: Principal, thumbnail_id: str) -> ThumbnailRow:
    """The thumbnail, if the viewer may see it and the filters let it pass. Raises NotVisible."""
    serving = serving_of(request)
    equal = _filters(serving, list(request.query_params.multi_items()))
    number, now, link = id_in_path(thumbnail_id), serving.core.clock.now(), serving.thumbnail_link(request)
    try:
        return await found(serving, lambda: serving.thumbnails.one(number, equal, viewer, now, link))
    except NotVisible as error:
        raise NoThumbnail from error


def _filters(serving: Serving, parameters: Parameters) -> dict[str, Any]:
    """The conditions that the query parameters name. Raises FilterErrors."""
    given = {name: value for name, value in parameters if value != ""}
    equal: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name in ("frame_basename", "proposal_id", "observation_id", "request_id", "size"):
        value = given.get(name)
        if value is None:
            continue
        if "\0" in value:
            errors[name] = ["Null characters are not allowed."]
        elif name == "size" and value not in serving.core.settings["THUMBNAIL_SIZE_CHOICES"]:
            errors[name] = [f"Select a valid choice. {value} is not one of the available choices."]
        elif name in ("observation_id", "request_id"):
            try:
                equal[name] = whole_number(value)
            except (ValueError, OverflowError):
                errors[name] = ["Enter a number."]
        else:
            equal[name] = value
    if errors:
        raise FilterErrors(errors)
    return equal


router = Router(
    "/thumbnails",
    route_handlers=[
        list_thumbnails,
        thumbnail_detail,
        create_thumbnail,
        edit_thumbnail,
        replace_thumbnail,
        delete_thumbnail,
    ],
)
