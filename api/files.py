"""Downloads: a version's bytes, or the way to the store that has them, by a signed link or the right to see its frame.

The address of a version never changes, nor do its bytes; only signatures end.
"""

from __future__ import annotations

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from adapters.file_store.disposition import attachment
from api.contents import begun, measured, must_be_kept, part_of, sent
from api.links import LINK_SECONDS, is_signed
from api.representation import Representation, Selection, select
from api.serving import AnyRequest, Serving, in_thread, serving_of
from application.permissions import Principal
from domain.errors import NotFound
from projections.frames.files import StoredFile

KIND = "application/octet-stream"


@get("/files/{version_id:int}/{filename:path}")
async def download(
    request: AnyRequest,
    version_id: FromPath[int],
    filename: FromPath[str],  # noqa: ARG001 - for people: browsers and scripts save under it
) -> Response[bytes] | Stream | Redirect:
    """The bytes of one version, to whoever holds a valid link or may see the frame."""
    serving = serving_of(request)
    file, viewer = await _allowed(serving, request, version_id)
    if link := await _elsewhere(serving, file):
        return Redirect(link)
    selection, headers = await _selected(serving, request, file, viewer)
    if selection.status not in (200, 206):
        return Response(b"", status_code=selection.status, headers=headers)
    pieces = await begun(serving, file, viewer, part_of(serving.core, file, selection.start, selection.end))
    return Stream(sent(pieces), status_code=selection.status, media_type=KIND, headers=headers)


async def _allowed(serving: Serving, request: AnyRequest, version_id: int) -> tuple[StoredFile, Principal]:
    """The version asked for, and who asks. Raises Forbidden, Unauthenticated, NotFound."""
    now = serving.core.clock.now()
    viewer = await serving.viewer(request)
    if signed := is_signed(request.query_params):
        serving.core.links.check_query(version_id, request.query_params)
    known = version_id < 2**31
    file = await serving.find(
        lambda: serving.files.version(version_id if known else 0, now, None if signed else viewer)
    )
    if file is None:
        raise NotFound("There is no such file in the archive, or it isn't yours to see.")
    await must_be_kept(serving, file, viewer)
    return file, viewer


async def _elsewhere(serving: Serving, file: StoredFile) -> str:
    """The store's own link, when it has one and clients may be sent there."""
    if serving.core.settings["STARFERRY_DOWNLOADS"] == "serve":
        return ""
    return await in_thread(serving.core.store.url, file.path, file.key, filename=file.name, expires=LINK_SECONDS)


async def _selected(
    serving: Serving, request: AnyRequest, file: StoredFile, viewer: Principal
) -> tuple[Selection, dict[str, str]]:
    """What the request asks for, and the headers of the answer."""
    size = await measured(serving, file, "whole", viewer)
    known = Representation(size=size, md5=file.md5, sha256=file.sha256, modified=file.created)
    selection = select(known, request.headers, request.method)
    headers = known.headers | {"Cache-Control": "private, no-cache"}
    match selection.status:
        case 200 | 206:
            headers["Content-Disposition"] = attachment(file.name)
            headers["Content-Length"] = str(selection.end - selection.start)
        case 416:
            headers["Content-Range"] = f"bytes */{size}"
    if selection.status == 206:
        headers["Content-Range"] = f"bytes {selection.start}-{selection.end - 1}/{size}"
    return selection, headers
