"""Downloads: signed links serve a version's bytes (with ranges), or redirect to the store that does."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import BinaryIO

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from adapters.file_store.disposition import attachment
from api.links import THUMBNAIL
from api.serving import AnyRequest, in_thread, serving_of
from domain.errors import NotFound

PIECE = 1024 * 1024


@get("/files/{version_id:int}/{filename:str}")
async def download(
    request: AnyRequest,
    version_id: FromPath[int],
    filename: FromPath[str],  # noqa: ARG001 - for people: browsers and scripts save under it
) -> Response[bytes] | Stream | Redirect:
    """The bytes of one version, to whoever holds a valid link."""
    serving = serving_of(request)
    _check_link(request, version_id)
    stored = await serving.find(lambda: serving.frames.stored_file(version_id))
    if stored is None:
        raise NotFound("This file is no longer in the archive.")
    path, key, name, deleted = stored
    if deleted:
        raise NotFound("This file was deleted from the server after its copies had been delivered.")
    return await _served(request, path, key, name, etag=f'"v{version_id}"')  # a version's bytes never change


@get("/files/thumbnails/{thumbnail_id:int}/{filename:str}")
async def thumbnail(
    request: AnyRequest,
    thumbnail_id: FromPath[int],
    filename: FromPath[str],  # noqa: ARG001 - for people, as above
) -> Response[bytes] | Stream | Redirect:
    """The bytes of a thumbnail, to whoever holds a valid link."""
    _check_link(request, thumbnail_id, THUMBNAIL)
    serving = serving_of(request)
    stored = await serving.find(lambda: serving.thumbnails.stored_file(thumbnail_id))
    if stored is None:
        raise NotFound("This thumbnail is no longer in the archive.")
    path, key, name = stored
    return await _served(request, path, key, name, etag=f'"{hashlib.sha256(key.encode()).hexdigest()[:32]}"')


def _check_link(request: AnyRequest, number: int, kind: bytes = b"") -> None:
    expires = request.query_params.get("expires", "")
    signature = request.query_params.get("signature", "")
    known = expires.isascii() and expires.isdecimal() and len(expires) < 19
    serving_of(request).core.links.check(number, int(expires) if known else 0, signature, kind)


async def _served(
    request: AnyRequest, path: str, key: str, name: str, *, etag: str
) -> Response[bytes] | Stream | Redirect:
    """What the store has under this path and key, or the part of it that is asked for."""
    store = serving_of(request).core.store
    if link := await in_thread(store.url, path, key, filename=name):
        return Redirect(link)
    source = await in_thread(store.open, path, key)
    size = await in_thread(store.size, path, key)
    start, end, status = _range(request.headers.get("range", ""), size)
    if status == 416:
        source.close()
        return Response(b"", status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers = {
        "Content-Disposition": attachment(name),
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - start),
        "ETag": etag,
    }
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    pieces = _pieces(source, start, end)
    return Stream(pieces, status_code=status, media_type="application/octet-stream", headers=headers)


def _range(text: str, size: int) -> tuple[int, int, int]:
    """Start, end (exclusive) and status for a Range header (RFC 9110, one range; others are ignored)."""
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", text.strip())
    if not match or match[0] == "bytes=-":
        return 0, size, 200
    first, last = match[1], match[2]
    start = max(0, size - int(last)) if not first else int(first)
    end = min(int(last) + 1, size) if first and last else size
    return (start, end, 206) if start < end else (0, 0, 416)


def _pieces(source: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    with source:
        source.seek(start)
        while start < end and (piece := source.read(min(PIECE, end - start))):
            start += len(piece)
            yield piece
