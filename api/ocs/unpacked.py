"""`/frame-funpack/<id>/funpack/` and `/frame-catalog/<id>/catalog/`: what a zip download's parts are, one at a time.

Unlike the original's, they ask who is asking (contracts: 1.4): the viewer of the frame, or the holder of a signature,
which is what a manifest for nginx carries.
"""

from __future__ import annotations

import structlog
from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream

from adapters.file_store.disposition import attachment
from api.contents import Form, begun, measured, must_be_kept, pieces_of, sent
from api.links import is_signed
from api.ocs.answers import NotVisible, detail
from api.serving import AnyRequest, Serving, serving_of
from application.permissions import Principal
from domain.errors import InvalidFile
from projections.frames.files import StoredFile

logger = structlog.get_logger()

PROBLEM = "There was a problem downloading your files. Please try again later or select fewer files."


@get("/frame-funpack/{frame_id:str}/funpack")
async def funpack(request: AnyRequest, frame_id: FromPath[str]) -> Response[bytes] | Stream:
    """The newest file of a frame, unpacked."""
    serving = serving_of(request)
    file, viewer = await _newest(serving, request, frame_id)
    return await _answer(serving, file, "unpacked", viewer)


@get("/frame-catalog/{frame_id:str}/catalog")
async def catalog(request: AnyRequest, frame_id: FromPath[str]) -> Response[bytes] | Stream:
    """The catalogue in the newest file of a frame."""
    serving = serving_of(request)
    file, viewer = await _newest(serving, request, frame_id)
    return await _answer(serving, file, "catalogue", viewer)


async def _newest(serving: Serving, request: AnyRequest, text: str) -> tuple[StoredFile, Principal]:
    """The newest version of a frame that the asker may see, and who that is. Raises NotFound."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 2**31):
        raise NotVisible("Not found.")
    now, viewer = serving.core.clock.now(), await serving.viewer(request)
    found = await serving.find(lambda: serving.files.newest([int(text)], viewer, now))
    if not found and is_signed(request.query_params):
        found = await serving.files.newest([int(text)], None, now)
        for file in found:
            serving.core.links.check_query(file.version_id, request.query_params)
    if not found:
        raise NotVisible
    await must_be_kept(serving, found[0], viewer)
    return found[0], viewer


async def _answer(serving: Serving, file: StoredFile, form: Form, viewer: Principal) -> Response[bytes] | Stream:
    try:
        size = await measured(serving, file, form, viewer)
    except InvalidFile as error:
        logger.warning("a file can't be unpacked", file=file.name, form=form, reason=str(error))
        return detail(500, PROBLEM)
    headers = {"Content-Length": str(size)}
    if form == "catalogue":
        headers["Content-Disposition"] = attachment(f"{file.basename}-catalog.fits")
    pieces = await begun(serving, file, viewer, pieces_of(serving.core, file, form))
    return Stream(sent(pieces), media_type="application/octet-stream", headers=headers)
