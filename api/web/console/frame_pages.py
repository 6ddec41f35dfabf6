"""The console's pages of frames: find them, look at one with its history."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from api.ocs.answers import NotVisible
from api.ocs.filters import FilterErrors
from api.ocs.frames import found, id_in_path, search_of
from api.serving import AnyRequest, in_thread, serving_of
from api.web.console.asking import console_page, looker
from application.history import frame_life
from application.permissions import Principal
from domain import frames
from domain.errors import NotFound
from projections.frames.rows import FrameRow
from projections.frames.search import FrameSearch

ROWS = 50
SHOWN_EVENTS = 200
SHOWN_RELATED = 50
SEARCHED = {
    "basename": "Basename contains",
    "target_name": "Target contains",
    "site_id": "Site",
    "telescope_id": "Telescope",
    "instrument_id": "Instrument",
    "proposal_id": "Proposal",
    "configuration_type": "Type",
    "observation_id": "Observation",
    "request_id": "Request",
    "start": "Observed from",
    "end": "Observed until",
}
"""Parameters of the archive's own search, so that the console understands what it does."""
FIELDS = (
    "observation_date observation_day proposal_id instrument_id target_name reduction_level site_id telescope_id "
    "exposure_time primary_optical_element public_date configuration_type observation_id request_id"
).split()
IMAGES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
LARGEST_IMAGE = 8 * 1024 * 1024


@get("/frames")
async def search_frames(request: AnyRequest) -> Response[str]:
    """A search form, and what it found, newest first."""
    viewer = await looker(request)
    serving = serving_of(request)
    given = {name: request.query_params.get(name, "").strip() for name in SEARCHED}
    offset = _offset(request.query_params.get("offset", ""))
    context: dict[str, Any] = {"fields": SEARCHED, "given": given, "errors": {}, "page": None, "offset": offset}
    try:
        search = search_of(serving, list(given.items()))
    except FilterErrors as error:
        return console_page(request, viewer, "frames.html", status=400, **{**context, "errors": error.errors})
    now, link = serving.core.clock.now(), serving.link(request)
    page = await serving.frames.page(search, viewer, now, link, limit=ROWS, offset=offset, related=False)
    kept = {name: value for name, value in given.items() if value}
    links = {
        "newer": f"?{urlencode({**kept, 'offset': max(0, offset - ROWS)})}" if offset else "",
        "older": f"?{urlencode({**kept, 'offset': offset + ROWS})}" if page.more else "",
    }
    return console_page(request, viewer, "frames.html", **{**context, "page": page, "links": links})


@get("/frames/{frame_id:str}")
async def show_frame(request: AnyRequest, frame_id: FromPath[str]) -> Response[str]:
    """One frame: record, versions, thumbnails, header, related frames, history."""
    viewer = await looker(request)
    return await frame_page(request, viewer, await visible_frame(request, viewer, frame_id))


@get("/frames/{frame_id:str}/thumbnails/{thumbnail_id:int}")
async def show_thumbnail(request: AnyRequest, frame_id: FromPath[str], thumbnail_id: FromPath[int]) -> Response[bytes]:
    """A thumbnail's picture from here: pages load nothing from elsewhere, and the store may be elsewhere."""
    viewer = await looker(request)
    serving = serving_of(request)
    row = await visible_frame(request, viewer, frame_id)
    shown = row.thumbnails if isinstance(row.thumbnails, list) else []
    kind = next((IMAGES.get(one.extension.lower()) for one in shown if one.id == thumbnail_id), None)
    stored = await serving.thumbnails.stored_file(thumbnail_id)
    if kind is None or stored is None:
        raise NotFound("There is no such picture.")
    path, key, _ = stored
    return Response(await in_thread(_picture, serving.core.store, path, key), media_type=kind)


def _picture(store: Any, path: str, key: str) -> bytes:
    with store.open(path, key) as source:
        picture: bytes = source.read(LARGEST_IMAGE + 1)
    if len(picture) > LARGEST_IMAGE:
        raise NotFound("This picture is too large for a page; download it.")
    return picture


async def visible_frame(request: AnyRequest, viewer: Principal, frame_id: str) -> FrameRow:
    """The frame with this id. Raises NotVisible unless it is there and the viewer's to see."""
    serving = serving_of(request)
    number, now = id_in_path(frame_id), serving.core.clock.now()
    link, pictures = serving.link(request), serving.thumbnail_link(request)
    return await found(
        serving, lambda: serving.frames.one(number, FrameSearch(), viewer, now, link, thumbnails=pictures)
    )


async def frame_page(
    request: AnyRequest,
    viewer: Principal,
    row: FrameRow,
    *,
    given: dict[str, str] | None = None,
    errors: dict[str, Any] | None = None,
    complaint: str = "",
    status: int = 200,
) -> Response[str]:
    """The page of one frame. After a refused change it shows again what was `given`, with the `errors`."""
    serving = serving_of(request)
    frame = frames.fold(await serving.log.load(frames.stream_of(row.basename)))
    if frame.record is None:
        raise NotVisible
    transfers = await serving.deliveries.transfers(viewer, {"frame": row.basename}, below=2**62, limit=1000)
    life = await in_thread(frame_life, serving.core.log, [one["id"] for one in transfers], row.basename)
    related = row.related_frames if isinstance(row.related_frames, list) else []
    return console_page(
        request,
        viewer,
        "frame.html",
        status=status,
        row=row,
        frame=frame,
        urls={version.id: version.url for version in row.version_set},
        values={**{name: written(getattr(row, name)) for name in FIELDS}, **(given or {})},
        header=_header(frame.headers),
        names=await serving.frames.basenames(related[:SHOWN_RELATED]),
        related=len(related),
        thumbnails=row.thumbnails if isinstance(row.thumbnails, list) else [],
        images=IMAGES,
        transfers=transfers[:SHOWN_EVENTS],
        life=[shown(entry) for entry in life[-SHOWN_EVENTS:][::-1]],
        earlier=max(0, len(life) - SHOWN_EVENTS),
        types=serving.types.known(),
        errors=errors or {},
        complaint=complaint,
    )


def written(value: Any) -> str:
    """A field's value as a form holds it; the API reads it back as the same."""
    if value is None:
        return ""
    return value if isinstance(value, str) else str(msgspec.to_builtins(value))


def shown(entry: Any) -> dict[str, Any]:
    """An event with its content as JSON to read."""
    content = msgspec.json.format(msgspec.json.encode(entry.data), indent=2).decode()
    return {"entry": entry, "content": content if content != "{}" else ""}


def _header(raw: msgspec.Raw) -> dict[str, Any]:
    header = msgspec.json.decode(bytes(raw))
    return header if isinstance(header, dict) else {}


def _offset(text: str) -> int:
    return min(int(text), 10**9) if text.isascii() and text.isdecimal() and len(text) < 12 else 0
