"""`POST /frames/zip/`: the files of many frames in one archive, made while it is sent (contracts: 1.10)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import structlog
from litestar import Response, post
from litestar.response import Stream

from adapters.file_store.disposition import attachment
from adapters.zip_stream import ZipEntry, ZipStream
from api.bootstrap import Core
from api.contents import pieces_of, sent, where
from api.ocs.answers import detail
from api.ocs.unpacked import PROBLEM
from api.ocs.zip_members import Member, manifest, members_of
from api.ocs.zip_request import ZipRequest, read_zip_request
from api.serving import AnyRequest, Serving, in_thread, serving_of
from application.permissions import Principal
from domain.errors import InvalidFile, NotFound, Unauthenticated
from projections.frames.files import Copy, StoredFile

logger = structlog.get_logger()

PATH = "/frames/zip"
LOOKING = 8
"""Files that are looked at side by side before the first byte is sent: an object store takes its time for each."""

MISSING = "MISSING.txt"


@post(PATH, status_code=200)
async def download(request: AnyRequest) -> Response[bytes] | Stream:
    """A zip archive of the frames that the asker may see, or the manifest from which nginx makes it."""
    serving = serving_of(request)
    settings = serving.core.settings
    viewer = await serving.viewer(request)
    wanted = await read_zip_request(request, most_uncompressed=settings["ZIP_DOWNLOAD_MAX_UNCOMPRESSED_FILES"])
    if wanted.auth_token is not None:
        viewer = await _holder(serving, wanted.auth_token)
    now = serving.core.clock.now()
    frames = [frame for frame in wanted.frames if frame < 2**31]
    files = await serving.find(lambda: serving.files.newest(frames, viewer, now))
    visible = await serving.files.visible(frames, viewer, now)
    folder = f"{settings['ZIP_DOWNLOAD_FILENAME_BASE']}-{now:%Y%m%d}-{visible}"
    try:
        members = await _members(serving.core, files, wanted)
    except InvalidFile as error:
        logger.warning("a file can't be unpacked", reason=str(error))
        return detail(500, PROBLEM)
    is_manifest = settings["STARFERRY_ZIP_MODE"] == "manifest"
    if is_manifest:  # it can only name what nginx will find
        members = [member for member in members if member.size is not None]
    if not members:
        return Response(b"", status_code=404)
    headers = {"Content-Disposition": attachment(f"{folder}.zip"), "Set-Cookie": "fileDownload=true; path=/"}
    if is_manifest:
        lines = await in_thread(manifest, serving.core, folder, members)
        return Response(
            lines.encode(), media_type="text/plain", headers={**headers, "X-Archive-Files": "zip"}, status_code=200
        )
    missing = [member.file for member in members if member.size is None]
    entries = [_entry(serving.core, folder, member) for member in members if member.size is not None]
    if missing:
        entries.append(_note(folder, missing, await serving.files.copies(missing, viewer), now))
    archive = ZipStream(entries)
    headers["Content-Length"] = str(archive.size)
    return Stream(sent(archive.pieces()), media_type="application/zip", headers=headers)


async def _holder(serving: Serving, token: str) -> Principal:
    """Whose token it is. Raises NotFound, which is how the original says that it is nobody's."""
    try:
        holder = await serving.authenticator.principal(f"Token {token}")
    except Unauthenticated:
        raise NotFound("No Token matches the given query.") from None
    await serving.gate.settle(holder.username)
    return holder


async def _members(core: Core, files: Sequence[StoredFile], wanted: ZipRequest) -> list[Member]:
    """What goes into the archive. Raises InvalidFile for a file that can't be unpacked, RetryLater."""
    shares = [files[start::LOOKING] for start in range(min(LOOKING, len(files)))]
    look = partial(members_of, core, uncompress=wanted.uncompress, catalog_only=wanted.catalog_only)
    found = await asyncio.gather(*(in_thread(look, share) for share in shares))
    order = {file.frame_id: place for place, file in enumerate(files)}
    return sorted((member for share in found for member in share), key=lambda member: order[member.file.frame_id])


def _entry(core: Core, folder: str, member: Member) -> ZipEntry:
    pieces = partial(pieces_of, core, member.file, member.form)
    return ZipEntry(name=f"{folder}/{member.name}", size=member.size or 0, modified=member.file.created, pieces=pieces)


def _note(folder: str, missing: Sequence[StoredFile], copies: Sequence[Copy], now: datetime) -> ZipEntry:
    """A text file that says what isn't in the archive."""
    lines = ["These files are no longer on the server.", ""]
    for file in missing:
        known = [copy for copy in copies if copy.version_id == file.version_id]
        lines.append(f"{file.name}: {where(known) if file.deleted else 'The file store has lost it.'}")
    text = "\n".join((*lines, "")).encode()
    return ZipEntry(name=f"{folder}/{MISSING}", size=len(text), modified=now, pieces=lambda: iter((text,)))
