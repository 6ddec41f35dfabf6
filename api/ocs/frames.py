"""`/frames/`: list, detail, headers, related, and the record ingest of the OCS ingester."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath

from api.intake import log_ingested, log_refused, refused_record
from api.ocs.answers import NotVisible, json_answer
from api.ocs.body_fields import text_lengths
from api.ocs.filters import Controls, Parameters, parse_controls, parse_search
from api.ocs.negotiation import body_as_json
from api.ocs.paging import Place, page_link, place_of_cursor, read_place, write_place
from api.ocs.record_body import BodyErrors, parse_body, version_conflict
from api.ocs.time_travel import standpoint
from api.read_gate import HEADER
from api.serving import AnyRequest, Serving, base_url, cause, serving_of
from application.commands.ingest import decide_arrival
from application.permissions import Principal, must_be_superuser
from application.transact import transact_async
from domain.errors import AlreadyExists
from domain.event import Recorded
from domain.frames import FileProcessed, Frame, FrameAmended, stream_of
from projections.frames.keyset import Order, mark_of, reverse, total
from projections.frames.query import Page
from projections.frames.rows import VersionRow
from projections.frames.search import FrameSearch

T = TypeVar("T")


@get("/")
async def list_frames(request: AnyRequest) -> Response[bytes]:
    """A page of the frames that the asker may see."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    there = await standpoint(serving, request, viewer)
    parameters = there.parameters
    search = search_of(serving, parameters)
    controls = _controls(serving, parameters)
    order = total(controls.order)
    if controls.by_cursor:
        place = place_of_cursor(order, controls.cursor)
    else:
        place = read_place(order, controls.after) if controls.after else None
        if place and (place.backwards or place.offset != controls.offset):
            place = None  # somebody has changed the link
    backwards = place is not None and place.backwards
    page = await there.frames.page(
        search,
        viewer,
        there.now,
        serving.link(request),
        order=reverse(order) if backwards else order,
        limit=controls.limit,
        offset=controls.offset,
        after=place.mark if place else None,
        related=controls.related,
        thumbnails=serving.thumbnail_link(request) if controls.thumbnails else None,
        counted=not controls.by_cursor,
        exact_count=there.position is not None or _exact(search, controls, viewer.authenticated),
    )
    address = f"{base_url(serving.core, request)}/frames/"
    if controls.by_cursor:
        envelope = _cursor_page(page, address, parameters, order, controls.limit, place)
    else:
        envelope = _offset_page(page, address, parameters, order, controls)
    return json_answer(envelope, headers=there.headers)


@get("/{frame_id:str}")
async def frame_detail(request: AnyRequest, frame_id: FromPath[str]) -> Response[bytes]:
    """One frame."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    there = await standpoint(serving, request, viewer)
    search = search_of(serving, there.parameters)
    number, link, controls = id_in_path(frame_id), serving.link(request), _controls(serving, there.parameters)
    pictures = serving.thumbnail_link(request) if controls.thumbnails else None
    row = await found(
        serving,
        lambda: there.frames.one(
            number, search, viewer, there.now, link, related=controls.related, thumbnails=pictures
        ),
    )
    return json_answer(row, headers=there.headers)


@get("/{frame_id:str}/headers")
async def frame_headers(request: AnyRequest, frame_id: FromPath[str]) -> Response[bytes]:
    """The whole header, as it was ingested."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    there = await standpoint(serving, request, viewer)
    search, number = search_of(serving, there.parameters), id_in_path(frame_id)
    position = await found(serving, lambda: there.frames.headers_at(number, search, viewer, there.now))
    event = await serving.log.event_at(position)
    headers = event.event.headers if isinstance(event.event, FileProcessed | FrameAmended) else None
    return json_answer({"data": headers or msgspec.Raw(b"{}")}, headers=there.headers)


@get("/{frame_id:str}/related")
async def frame_related(request: AnyRequest, frame_id: FromPath[str]) -> Response[bytes]:
    """The related frames that the asker may see; a plain array."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    there = await standpoint(serving, request, viewer)
    search, number, link = search_of(serving, there.parameters), id_in_path(frame_id), serving.link(request)
    await found(serving, lambda: there.frames.one(number, search, viewer, there.now, link, related=False))
    rows = await there.frames.related_frames(number, viewer, there.now, link)
    plain = [_plain(msgspec.to_builtins(row, builtin_types=(msgspec.Raw,))) for row in rows]
    return json_answer(plain, headers=there.headers)


async def found(serving: Serving, ask: Callable[[], Awaitable[T | None]]) -> T:
    """What `ask` finds. Raises NotVisible for nothing."""
    answer = await serving.find(ask)
    if answer is None:
        raise NotVisible
    return answer


@post("/", status_code=201)
async def create_frame(request: AnyRequest) -> Response[bytes]:
    """Record a frame whose file the OCS ingester has stored."""
    serving = serving_of(request)
    principal = await serving.asker(request)
    must_be_superuser(principal)
    core = serving.core
    body = await body_as_json(request)
    now, why, began = core.clock.now(), cause(principal, "ocs"), time.monotonic()
    result: list[tuple[Frame, dict[int, datetime]]] = []
    try:
        lengths = text_lengths(core.settings)
        arrival = parse_body(body, types=serving.types.known(), path=core.record_path, lengths=lengths)

        def commit_for(history: Any) -> Any:
            commit, frame = decide_arrival(history, arrival, serving.numbers, cause=why, now=now)
            result.append((frame, arrival_times(history)))
            return commit

        await serving.numbers.refill()
        try:
            position = await transact_async(serving.log, commit_for, stream_of(arrival.record.basename))
        except AlreadyExists as error:
            raise BodyErrors(version_conflict(error.taken, arrival.versions)) from error
    except BodyErrors as error:
        log_refused(*refused_record(body), errors=error.errors)
        raise
    log_ingested(result[-1][0])
    serving.metrics.posted(result[-1][0], time.monotonic() - began, now)
    serving.gate.wrote(principal.username, position)
    answer = json_answer(
        await as_created(serving, request, principal, *result[-1], now, with_related=False), status=201
    )
    answer.headers[HEADER] = str(position)
    return answer


async def as_created(
    serving: Serving,
    request: AnyRequest,
    principal: Principal,
    frame: Frame,
    known: Mapping[int, datetime],
    now: datetime,
    *,
    with_related: bool = True,
) -> dict[str, Any]:
    """The answer to an ingest: the record with its versions and the ids of its related frames, without the legacy
    names. `known` says when earlier versions arrived; the others arrived `now`. Without `with_related` the related ones
    aren't looked up: for the ingester that took half of its rate, and it doesn't read them."""
    record, link = frame.record, serving.link(request, frame.versions)
    assert record is not None
    names = record.related if with_related else ()
    related = await serving.frames.related_to_arrival(record.basename, names, principal, now)
    versions = [
        VersionRow(
            version.id,
            version.key,
            version.md5,
            version.extension,
            known.get(version.id, now),
            link(version.id, record.basename + version.extension),
        )
        for version in reversed(frame.versions)
    ]
    answer: dict[str, Any] = {
        "id": frame.id,
        "basename": record.basename,
        "area": record.area,
        "related_frames": related,
        "version_set": versions,
    }
    if versions:
        answer["filename"] = record.basename + versions[0].extension
        answer["url"] = versions[0].url
    for name in _RECORD_FIELDS:
        answer[name] = getattr(record, name)
    return answer


def arrival_times(history: Iterable[Recorded]) -> dict[int, datetime]:
    """When each version of a frame came."""
    return {
        version.id: version.created or recorded.at
        for recorded in history
        if isinstance(recorded.event, FileProcessed)
        for version in recorded.event.versions
    }


_RECORD_FIELDS = (
    "reduction_level observation_day observation_date proposal_id instrument_id target_name site_id telescope_id "
    "exposure_time primary_optical_element public_date configuration_type observation_id request_id"
).split()
_LEGACY = frozenset(
    "DATE_OBS DAY_OBS PROPID INSTRUME OBJECT RLEVEL SITEID TELID EXPTIME FILTER L1PUBDAT OBSTYPE BLKUID REQNUM".split()
)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as `/related/` gives it: no legacy names, a null area is shown."""
    plain = {name: value for name, value in row.items() if name not in _LEGACY}
    plain.setdefault("area", None)
    return plain


def search_of(serving: Serving, parameters: Parameters) -> FrameSearch:
    """What the query parameters ask for. Raises FilterErrors, InvalidGeometry."""
    return parse_search(
        parameters,
        serving.core.sky,
        types=serving.types.known(),
        science_types=serving.core.settings["SCIENCE_CONFIGURATION_TYPES"],
    )


def _controls(serving: Serving, parameters: Parameters) -> Controls:
    settings = serving.core.settings
    return parse_controls(
        parameters, default_limit=settings["PAGINATION_DEFAULT_LIMIT"], max_limit=settings["PAGINATION_MAX_LIMIT"]
    )


def _exact(search: FrameSearch, controls: Controls, authenticated: bool) -> bool:
    """Whether the count is worth its time (contracts: 1.7)."""
    if controls.force_count and authenticated:
        return True
    if any(name in search.equal for name in ("request_id", "observation_id", "basename")):
        return True
    if search.start is None or search.end is None:
        return False
    span = search.end - search.start
    narrow = "proposal_id" in search.equal or bool(search.target_exact)
    return span <= timedelta(days=7) or (narrow and span <= timedelta(weeks=9))


def _offset_page(page: Page, address: str, parameters: Parameters, order: Order, controls: Controls) -> dict[str, Any]:
    """The envelope with counts. The link to the next page also says behind which row it begins: rows that arrive in
    front of it meanwhile don't shift it."""
    limit, offset = controls.limit, controls.offset
    following = previous = None
    if page.more:
        place = Place(mark_of(page.rows[-1], order), offset=offset + limit)
        following = page_link(
            address, parameters, (), limit=limit, offset=offset + limit, after=write_place(order, place)
        )
    if offset:
        back = max(0, offset - limit) or None
        previous = page_link(address, parameters, ("offset", "after"), limit=limit, offset=back)
    return {
        "count": page.count,
        "next": following,
        "previous": previous,
        "results": page.rows,
        "count_estimated": page.estimated,
    }


def _cursor_page(
    page: Page, address: str, parameters: Parameters, order: Order, limit: int, place: Place | None
) -> dict[str, Any]:
    """The envelope without counts (contracts: 1.7, cursor style)."""
    backwards = place is not None and place.backwards
    rows = page.rows[::-1] if backwards else page.rows
    following = previous = None
    if rows and (page.more or backwards):
        cursor = write_place(order, Place(mark_of(rows[-1], order)))
        following = page_link(address, parameters, (), limit=limit, cursor=cursor)
    if rows and (page.more if backwards else place):
        cursor = write_place(order, Place(mark_of(rows[0], order), backwards=True))
        previous = page_link(address, parameters, (), limit=limit, cursor=cursor)
    return {"next": following, "previous": previous, "results": rows}


def id_in_path(text: str) -> int:
    """The id in a path. Raises NotVisible for what can't be one."""
    if not text.isdecimal() or not text.isascii() or len(text) > 10 or int(text) > 2_147_483_647:
        raise NotVisible("Not found.")
    return int(text)


router = Router("/frames", route_handlers=[list_frames, frame_detail, frame_headers, frame_related, create_frame])
