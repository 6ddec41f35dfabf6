"""Multipart bodies read as a stream: the file part goes to the store's staging as it arrives (RFC 7578)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from api.serving import in_thread
from application.ports.file_store import Staging
from domain.errors import AbsurdSize, InvalidInput

PIECE = 1024 * 1024
MAX_FIELD = 10_000
MAX_METADATA = 256 * 1024
"""Bytes of the field `metadata`, which may hold a whole header."""


class Upload(msgspec.Struct):
    """What a body held: the file's name (None without a file part) and the text fields."""

    filename: str | None = None
    fields: dict[str, str] = {}


class _Parts:
    """Collects what the parser finds between two reads of the body."""

    def __init__(self, limit: int) -> None:
        self.upload = Upload(fields={})
        self.pending = bytearray()
        self._limit = limit
        self._size = 0
        self._header = b""
        self._headers: dict[str, bytes] = {}
        self._name = ""
        self._text = bytearray()
        self._is_file = False
        self.complete = False

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": lambda: None,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._headers, self._header, self._text = {}, b"", bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header = data[start:end].lower()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        name = self._header.decode("latin-1")
        self._headers[name] = self._headers.get(name, b"") + data[start:end]

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._name = options.get(b"name", b"").decode(errors="replace")
        filename = options.get(b"filename")
        self._is_file = self._name == "file"
        if self._is_file:
            if self.upload.filename is not None:
                raise InvalidInput("One request ingests one file.", field="file")
            self.upload.filename = (filename or b"").decode(errors="replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._is_file:
            if self._size > self._limit:
                raise AbsurdSize(f"The file is larger than {self._limit} bytes.", field="file")
            self.pending += data[start:end]
        else:
            self._text += data[start:end]
            if len(self._text) > (MAX_METADATA if self._name == "metadata" else MAX_FIELD):
                raise InvalidInput(f"The field {self._name[:50]} is too long.")

    def _finish(self) -> None:
        self.complete = True

    def _end(self) -> None:
        if not self._is_file:
            text = self._text.decode(errors="replace")
            if "\0" in text:
                raise InvalidInput(f"The field {self._name[:50]} holds a null character.", field=self._name[:50])
            self.upload.fields[self._name] = text


async def receive(content_type: str, body: AsyncIterator[bytes], staging: Staging, *, limit: int) -> Upload:
    """Read a multipart body to its end. Raises InvalidInput when it isn't one, AbsurdSize beyond
    `limit` bytes."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidInput("Send the file as multipart/form-data, in a part named 'file'.", field="file")
    parts = _Parts(limit)
    parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type]
    try:
        async for chunk in body:
            parser.write(chunk)
            if len(parts.pending) >= PIECE:
                await in_thread(staging.write, bytes(parts.pending))
                parts.pending.clear()
        if parts.pending:
            await in_thread(staging.write, bytes(parts.pending))
    except MultipartParseError as error:
        raise InvalidInput("The multipart body is malformed or ends early.", field="file") from error
    if not parts.complete:  # without the closing boundary nobody knows whether the file is whole
        raise InvalidInput("The multipart body is malformed or ends early.", field="file")
    if parts.upload.filename is None:
        raise InvalidInput("The request has no part named 'file'.", field="file")
    return parts.upload
