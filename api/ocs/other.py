"""The small routes: root map, versions, profile, health, robots."""

from __future__ import annotations

from litestar import MediaType, Response, get
from litestar.params import FromPath

from api.ocs.answers import json_answer
from api.ocs.filters import parse_controls
from api.ocs.time_travel import standpoint
from api.replica import WRITER, needed
from api.serving import AnyRequest, base_url, serving_of
from application.permissions import must_be_known
from domain.errors import Forbidden, NotFound


@get("/")
async def root(request: AnyRequest) -> Response[bytes]:
    """Where the lists are."""
    base = base_url(serving_of(request).core, request)
    return json_answer({name: f"{base}/{name}/" for name in ("frames", "versions", "thumbnails")})


@get("/versions")
async def list_versions(request: AnyRequest) -> Response[bytes]:
    """Versions for staff; `?md5=` is how ingesters ask whether a file is there, so its count is exact."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    if not (principal.is_staff or principal.is_superuser):
        raise Forbidden("You do not have permission to perform this action.")
    needed.set(WRITER)  # an ingester that isn't told of a file here will store it again
    there = await standpoint(serving, request, principal)
    parameters = there.parameters
    settings = serving.core.settings
    controls = parse_controls(
        parameters, default_limit=settings["PAGINATION_DEFAULT_LIMIT"], max_limit=settings["PAGINATION_MAX_LIMIT"]
    )
    md5 = dict(parameters).get("md5", "").replace("\0", " ") or None
    link = serving.link(request)
    rows, count, more = await there.frames.versions(link, md5=md5, limit=controls.limit, offset=controls.offset)
    if md5 and not rows and await serving.gate.catch_up():
        rows, count, more = await there.frames.versions(link, md5=md5, limit=controls.limit, offset=controls.offset)
    at = "" if there.position is None else f"at={there.position}&"
    base = f"{base_url(serving.core, request)}/versions/?{at}limit={controls.limit}&offset="
    return json_answer(
        {
            "count": count,
            "next": f"{base}{controls.offset + controls.limit}" if more else None,
            "previous": f"{base}{max(0, controls.offset - controls.limit)}" if controls.offset else None,
            "results": rows,
            "count_estimated": False,
        },
        headers=there.headers,
    )


@get("/versions/{version_id:int}")
async def version_detail(request: AnyRequest, version_id: FromPath[int]) -> Response[bytes]:
    """One version, for staff."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    if not (principal.is_staff or principal.is_superuser):
        raise Forbidden("You do not have permission to perform this action.")
    needed.set(WRITER)
    there = await standpoint(serving, request, principal)
    link = serving.link(request)
    rows, _, _ = await there.frames.versions(link, version_id=version_id)
    if not rows and await serving.gate.catch_up():
        rows, _, _ = await there.frames.versions(link, version_id=version_id)
    if not rows:
        raise NotFound("No Version matches the given query.")
    return json_answer(rows[0], headers=there.headers)


@get("/profile")
async def profile(request: AnyRequest) -> Response[bytes]:
    """Who am I."""
    serving = serving_of(request)
    principal = await serving.viewer(request, throttled=False)  # web clients ask for it on every page
    if not principal.authenticated:
        return json_answer({"username": "", "profile": {}, "is_staff": False})
    proposals = await serving.proposals.all() if principal.is_superuser else list(principal.proposals)
    return json_answer(
        {"username": principal.username, "profile": {"proposals": proposals}, "is_staff": principal.is_staff}
    )


@get("/health")
async def health() -> Response[bytes]:
    """For load balancers."""
    return json_answer("ok")


@get("/robots.txt", media_type=MediaType.TEXT)
async def robots() -> str:
    """Nothing here for crawlers."""
    return "User-agent: *\nDisallow: /\n"
