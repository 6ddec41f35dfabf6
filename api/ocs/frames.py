"""`/frames/`: list, detail, headers, related, and the record ingest of the OCS ingester."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath

from api.intake import log_ingested, log_refused, refused_record
from api.ocs.answers import NotVisible, json_answer
from api.ocs.filters import Controls, Parameters, parse_controls, parse_search
from api.ocs.negotiation import body_as_json
from api.ocs.record_body import BodyErrors, parse_body, version_conflict
from api.read_gate import HEADER
from api.serving import AnyRequest, Serving, base_url, cause, serving_of
from application.commands.ingest import decide_arrival
from application.permissions import must_be_superuser
from application.transact import transact_async
from domain.errors import AlreadyExists
from domain.event import Recorded
from domain.frames import FileProcessed, Frame, FrameAmended, stream_of
from projections.frames.rows import Link, VersionRow
from projections.frames.search import FrameSearch

T = TypeVar("T")


@get("/")
async def list_frames(request: AnyRequest) -> Response[bytes]:
    """A page of the frames that the asker may see."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    parameters = list(request.query_params.multi_items())
    search = _search(serving, parameters)
    controls = _controls(serving, parameters)
    page = await serving.frames.page(
        search,
        viewer,
        serving.core.clock.now(),
        serving.link(request),
        order=controls.order,
        limit=controls.limit,
        offset=controls.offset,
        related=controls.related,
        exact_count=_exact(search, controls, viewer.authenticated),
    )
    return json_answer(
        {
            "count": page.count,
            "next": _neighbour(serving, request, parameters, controls, controls.offset + controls.limit)
            if page.more
            else None,
            "previous": _neighbour(serving, request, parameters, controls, controls.offset - controls.limit)
            if controls.offset
            else None,
            "results": page.rows,
            "count_estimated": page.estimated,
        }
    )


@get("/{frame_id:str}")
async def frame_detail(request: AnyRequest, frame_id: FromPath[str]) -> Response[bytes]:
    """One frame."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    parameters = list(request.query_params.multi_items())
    search = _search(serving, parameters)
    number, link, related = _id(frame_id), serving.link(request), _controls(serving, parameters).related
    now = serving.core.clock.now()
    row = await _found(serving, lambda: serving.frames.one(number, search, viewer, now, link, related=related))
    return json_answer(row)


@get("/{frame_id:str}/headers")
async def frame_headers(request: AnyRequest, frame_id: FromPath[str]) -> Response[bytes]:
    """The whole header, as it was ingested."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    search = _search(serving, list(request.query_params.multi_items()))
    number, now = _id(frame_id), serving.core.clock.now()
    position = await _found(serving, lambda: serving.frames.headers_at(number, search, viewer, now))
    event = await serving.log.event_at(position)
    headers = event.event.headers if isinstance(event.event, FileProcessed | FrameAmended) else None
    return json_answer({"data": headers or msgspec.Raw(b"{}")})


@get("/{frame_id:str}/related")
async def frame_related(request: AnyRequest, frame_id: FromPath[str]) -> Response[bytes]:
    """The related frames that the asker may see; a plain array."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    search = _search(serving, list(request.query_params.multi_items()))
    number, now, link = _id(frame_id), serving.core.clock.now(), serving.link(request)
    await _found(serving, lambda: serving.frames.one(number, search, viewer, now, link, related=False))
    rows = await serving.frames.related_frames(number, viewer, now, link)
    return json_answer([_plain(msgspec.to_builtins(row, builtin_types=(msgspec.Raw,))) for row in rows])


async def _found(serving: Serving, ask: Callable[[], Awaitable[T | None]]) -> T:
    answer = await serving.find(ask)
    if answer is None:
        raise NotVisible
    return answer


@post("/", status_code=201)
async def create_frame(request: AnyRequest) -> Response[bytes]:
    """Record a frame whose file the OCS ingester has stored."""
    serving = serving_of(request)
    principal = await serving.authenticator.principal(request.headers.get("authorization"))
    must_be_superuser(principal)
    types = serving.core.settings["CONFIGURATION_TYPES"]
    body = await body_as_json(request)
    now, why, began = serving.core.clock.now(), cause(principal, "ocs"), time.monotonic()
    result: list[tuple[Frame, dict[int, datetime]]] = []
    try:
        arrival = parse_body(body, types=types, path=serving.core.record_path)

        def commit_for(history: Any) -> Any:
            commit, frame = decide_arrival(history, arrival, serving.numbers, cause=why, now=now)
            result.append((frame, _arrival_times(history)))
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
    answer = json_answer(created_frame(*result[-1], now, serving.link(request)), status=201)
    answer.headers[HEADER] = str(position)
    return answer


def created_frame(frame: Frame, known: Mapping[int, datetime], now: datetime, link: Link) -> dict[str, Any]:
    """The answer to an ingest: the record with its versions, without the legacy names. `known` says when earlier
    versions arrived."""
    record = frame.record
    assert record is not None
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
        "related_frames": [],
        "version_set": versions,
    }
    if versions:
        answer["filename"] = record.basename + versions[0].extension
        answer["url"] = versions[0].url
    for name in _RECORD_FIELDS:
        answer[name] = getattr(record, name)
    return answer


def _arrival_times(history: Iterable[Recorded]) -> dict[int, datetime]:
    return {
        version.id: recorded.at
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


def _search(serving: Serving, parameters: Parameters) -> FrameSearch:
    settings = serving.core.settings
    return parse_search(
        parameters,
        serving.core.sky,
        types=settings["CONFIGURATION_TYPES"],
        science_types=settings["SCIENCE_CONFIGURATION_TYPES"],
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


def _neighbour(serving: Serving, request: AnyRequest, parameters: Parameters, controls: Controls, offset: int) -> str:
    """An absolute link to another page, repeating all parameters, sorted."""
    kept = [(name, value) for name, value in parameters if name not in ("offset", "limit")]
    kept.append(("limit", str(controls.limit)))
    if offset > 0:
        kept.append(("offset", str(offset)))
    return f"{base_url(serving.core, request)}/frames/?{urlencode(sorted(kept))}"


def _id(text: str) -> int:
    """The id in a path. Raises NotVisible for what can't be one."""
    if not text.isdecimal() or not text.isascii() or len(text) > 10 or int(text) > 2_147_483_647:
        raise NotVisible("Not found.")
    return int(text)


router = Router("/frames", route_handlers=[list_frames, frame_detail, frame_headers, frame_related, create_frame])
