"""What downloads are made of: a stored file as it is, unpacked, or its catalogue alone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Literal

import structlog

from api.bootstrap import Core
from api.serving import Serving, in_thread
from application.permissions import Principal
from application.ports.content import Content
from domain.errors import NotFound, StarferryError
from projections.frames.files import Copy, StoredFile

logger = structlog.get_logger()

PIECE = 1024 * 1024
Form = Literal["whole", "unpacked", "catalogue"]


class Part:
    """The bytes of a stored file from `start` up to `end`."""

    def __init__(self, source: BinaryIO, start: int, end: int) -> None:
        self._source = source
        self._start = start
        self.size = end - start

    def pieces(self) -> Iterator[bytes]:
        """See Content.pieces; falls short where the file does."""
        self._source.seek(self._start)
        left = self.size
        while left and (piece := self._source.read(min(PIECE, left))):
            left -= len(piece)
            yield piece


@contextmanager
def open_content(core: Core, file: StoredFile, form: Form) -> Iterator[Content]:
    """A file of the store, in this form. Raises NotFound, RetryLater; InvalidFile when it hasn't that form."""
    with core.store.open(file.path, file.key) as source:
        size = source.seek(0, os.SEEK_END)
        source.seek(0)
        match form:
            case "whole":
                yield Part(source, 0, size)
            case "unpacked":
                yield core.unpacked(source, size, file.name)
            case "catalogue":
                yield core.catalogue(source, size, file.name)


def size_of(core: Core, file: StoredFile, form: Form) -> int:
    """Bytes of a download. Raises what open_content raises."""
    with open_content(core, file, form) as content:
        return content.size


def pieces_of(core: Core, file: StoredFile, form: Form) -> Generator[bytes, None, None]:
    """The bytes of a download; the file is open from the first piece on until the last."""
    with _told(file), open_content(core, file, form) as content:
        yield from content.pieces()


def part_of(core: Core, file: StoredFile, start: int, end: int) -> Generator[bytes, None, None]:
    """The bytes of a stored file from `start` up to `end`."""
    with _told(file), core.store.open(file.path, file.key) as source:
        yield from Part(source, start, end).pieces()


async def begun(
    serving: Serving, file: StoredFile, viewer: Principal, pieces: Generator[bytes, None, None]
) -> Generator[bytes, None, None]:
    """The same pieces, with the file open and the first one there: a file that is deleted at this moment is told as
    gone, not as an answer that breaks off. Raises as `measured`."""
    try:
        first = await in_thread(next, pieces, None)
    except NotFound:
        await _tell_of_deletion(serving, file, viewer)
        raise
    return _from(first, pieces)


def _from(first: bytes | None, others: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    try:
        if first is not None:
            yield first
            yield from others
    finally:
        others.close()


async def sent(pieces: Generator[bytes, None, None]) -> AsyncIterator[bytes]:
    """The pieces as an answer's body: each is made off the event loop, and the last one's file is closed also when the
    client goes away."""
    try:
        while (piece := await in_thread(next, pieces, None)) is not None:
            yield piece
    finally:
        pieces.close()


@contextmanager
def _told(file: StoredFile) -> Iterator[None]:
    """Let the operator know why a download broke: the client only sees that it did."""
    try:
        yield
    except StarferryError as error:
        logger.warning("a download broke", file=file.name, reason=str(error))
        raise


async def measured(serving: Serving, file: StoredFile, form: Form, viewer: Principal) -> int:
    """Bytes of a download. Raises NotFound with the reason, also where the read models learn it only now; and what
    open_content raises."""
    try:
        return await in_thread(size_of, serving.core, file, form)
    except NotFound:
        await _tell_of_deletion(serving, file, viewer)
        raise


async def _tell_of_deletion(serving: Serving, file: StoredFile, viewer: Principal) -> None:
    """Raise NotFound with the reason where the file's deletion is why it isn't there."""
    if await serving.gate.catch_up():
        now = serving.core.clock.now()
        await must_be_kept(serving, await serving.files.version(file.version_id, now) or file, viewer)


async def must_be_kept(serving: Serving, file: StoredFile, viewer: Principal) -> None:
    """Raise NotFound for a file that was deleted from the server, saying where its copies are."""
    if file.deleted:
        copies = await serving.files.copies([file], viewer)
        raise NotFound(f"{file.name} was deleted from the server after its copies had been verified. {where(copies)}")


def where(copies: Sequence[Copy]) -> str:
    """Where copies are, as a sentence for somebody who may know of these."""
    if not copies:
        return "They are in the storage of those who had asked for them."
    places = [f"{copy.provider} {copy.display_name!r}, {copy.destination_path}" for copy in copies]
    return f"They are in {'; '.join(places)}."
