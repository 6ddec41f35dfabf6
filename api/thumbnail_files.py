"""The pictures of thumbnails, to whoever holds a signed link, or a redirect to the store that has them."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from typing import BinaryIO

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from adapters.file_store.disposition import attachment
from api.serving import AnyRequest, in_thread, serving_of
from domain.errors import NotFound

PIECE = 256 * 1024


@get("/thumbnails/files/{thumbnail_id:int}/{filename:str}")
async def picture(
    request: AnyRequest,
    thumbnail_id: FromPath[int],
    filename: FromPath[str],  # noqa: ARG001 - for people: browsers save under it
) -> Response[bytes] | Stream | Redirect:
    """The bytes of one thumbnail. They are small: there are no ranges."""
    serving = serving_of(request)
    serving.core.thumbnail_links.check_query(thumbnail_id, request.query_params)
    stored = await serving.find(lambda: serving.thumbnails.stored_file(thumbnail_id))
    if stored is None:
        raise NotFound("This thumbnail is no longer in the archive.")
    path, key, name = stored
    store = serving.core.store
    if link := await in_thread(store.url, path, key, filename=name):
        return Redirect(link)
    size = await in_thread(store.size, path, key)
    source = await in_thread(store.open, path, key)
    headers = {"Content-Disposition": attachment(name), "Content-Length": str(size)}
    return Stream(_pieces(source), media_type=_kind(name), headers=headers)


def _kind(name: str) -> str:
    """Pages show only what is called a picture; SVG may hold programs and is called nothing."""
    kind = mimetypes.guess_type(name)[0] or ""
    return kind if kind.startswith("image/") and "svg" not in kind else "application/octet-stream"


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    with source:
        while piece := source.read(PIECE):
            yield piece
