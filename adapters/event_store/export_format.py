"""The file that a log is exported to (docs/operating.md describes it for others): JSON lines in Zstandard frames.

A header, blocks of events, a trailer: each a Zstandard frame of its own with a checksum, so that `zstd -dc` reads the
whole and a program can stop, and go on, between two of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import BinaryIO

import msgspec
import zstandard

from adapters.event_store.segments import Row
from domain.errors import InvalidInput

FORMAT = 1
BLOCK_EVENTS = 1000
BLOCK_BYTES = 4_000_000
MOST_BYTES = 512 * 1024 * 1024
"""Of one unpacked block: a block is closed at BLOCK_BYTES, and one event has 64 MiB at most."""

_READ = 1 << 20
_LONGEST_HEADER = 18


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first line. Events of (since, upto] follow; `previous` is the digest of the seal at `since`; `schemas` are
    the newest that the program knew of each topic; `positions` says how far each policy had come; `streams` are those
    that a partial export was asked for."""

    starferry_log: int
    created: datetime
    since: int
    upto: int
    previous: str = ""
    schemas: dict[str, int] = {}
    positions: dict[str, int] = {}
    streams: tuple[str, ...] = ()


class SealLine(msgspec.Struct, frozen=True, kw_only=True):
    """A seal whose last event is in the block."""

    since: int
    upto: int
    count: int
    digest: str
    sealed_at: datetime


class BlockHead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first line of a block; `sha256` is that of the lines that follow it, their newlines included."""

    block: int
    since: int
    upto: int
    events: int
    sha256: str
    seals: tuple[SealLine, ...] = ()


class EventLine(msgspec.Struct, frozen=True):
    """An event: position, stream, version, topic and body; `text` holds a body that can't stand on a line as it is."""

    p: int
    s: str
    n: int
    t: str
    b: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def body(self) -> bytes:
        """The event's unpacked state."""
        if self.text is not msgspec.UNSET:
            return self.text.encode()
        return bytes(self.b) if self.b is not msgspec.UNSET else b""


class Trailer(msgspec.Struct, frozen=True, kw_only=True):
    """The last line. `digest` begins as the SHA-256 of the header line and becomes, with each block, that of itself (32
    bytes) and the block's first line, newlines included."""

    end: bool
    blocks: int
    events: int
    upto: int
    digest: str


class Block(msgspec.Struct, frozen=True):
    """A block that is whole, and where the file goes on behind it."""

    head: BlockHead
    lines: bytes
    offset: int

    def events(self) -> list[EventLine]:
        """Its events. Raises InvalidInput."""
        try:
            return [_EVENT.decode(line) for line in self.lines.splitlines()]
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"Block {self.head.block} holds something else than events: {error}.") from error


_ENCODER = msgspec.json.Encoder()
_EVENT = msgspec.json.Decoder(EventLine)


def event_line(row: Row, body: bytes) -> bytes:
    """The line of an event."""
    head = b'{"p":%d,"s":%b,"n":%d,"t":%b,' % (
        row.position,
        _ENCODER.encode(row.stream),
        row.version,
        _ENCODER.encode(row.topic),
    )
    if body[:1] == b"{" and body[-1:] == b"}" and b"\n" not in body and b"\r" not in body:
        return head + b'"b":' + body + b"}\n"
    return head + b'"text":' + _ENCODER.encode(body.decode()) + b"}\n"


class Chain:
    """The digest over header and blocks that the trailer holds."""

    def __init__(self, header_line: bytes) -> None:
        self._digest = hashlib.sha256(header_line).digest()
        self.blocks = self.events = 0

    def add(self, head: BlockHead, line: bytes) -> None:
        """One more block."""
        self._digest = hashlib.sha256(self._digest + line).digest()
        self.blocks += 1
        self.events += head.events

    def trailer(self, upto: int) -> Trailer:
        """What stands at the end of a file that ends here."""
        return Trailer(end=True, blocks=self.blocks, events=self.events, upto=upto, digest=self._digest.hex())


class Writer:
    """Writes frames to a file that is open at its end."""

    def __init__(self, file: BinaryIO, chain: Chain | None = None) -> None:
        self._file = file
        self._compressor = zstandard.ZstdCompressor(level=3, write_checksum=True, write_content_size=True)
        self._chain = chain

    def header(self, header: Header) -> None:
        """Begin."""
        line = _ENCODER.encode(header) + b"\n"
        self._chain = Chain(line)
        self._frame(line)

    def block(self, since: int, lines: Sequence[bytes], upto: int, seals: Sequence[SealLine]) -> None:
        """The events of (since, upto]."""
        assert self._chain is not None
        content = b"".join(lines)
        head = BlockHead(
            block=self._chain.blocks + 1,
            since=since,
            upto=upto,
            events=len(lines),
            sha256=hashlib.sha256(content).hexdigest(),
            seals=tuple(seals),
        )
        line = _ENCODER.encode(head) + b"\n"
        self._chain.add(head, line)
        self._frame(line + content)

    def trailer(self, upto: int) -> Trailer:
        """End."""
        assert self._chain is not None
        trailer = self._chain.trailer(upto)
        self._frame(_ENCODER.encode(trailer) + b"\n")
        return trailer

    def _frame(self, content: bytes) -> None:
        self._file.write(self._compressor.compress(content))


class Reader:
    """Reads a file from its beginning, checking all that can be checked of it without a log.

    `header` is there at once; `blocks` gives the blocks; `trailer` is there when they have ended. Whatever isn't whole
    raises InvalidInput with block and offset; `good` is then the offset behind the last whole block.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._rest = b""
        self.good = 0
        self.trailer: Trailer | None = None
        line = self._frame("the header")
        if line is None:
            raise InvalidInput("The file is empty.")
        try:
            self.header = msgspec.json.decode(line, type=Header)
        except msgspec.MsgspecError as error:
            raise InvalidInput("The file isn't an export of a log.") from error
        if self.header.starferry_log != FORMAT:
            raise InvalidInput(f"The file has format {self.header.starferry_log}; this program knows {FORMAT}.")
        self.chain = Chain(line)
        self.upto = self.header.since

    def blocks(self) -> Iterator[Block]:
        """All blocks in order."""
        while True:
            name = f"block {self.chain.blocks + 1}"
            begun, content = self.good, self._frame(name)
            if content is None:
                raise _damaged(name, begun, self.upto, "the file ends before it, or within it")
            line, _, lines = content.partition(b"\n")
            try:
                if line.startswith(b'{"end":'):
                    self._end(msgspec.json.decode(line, type=Trailer), begun)
                    return
                head = msgspec.json.decode(line, type=BlockHead)
            except msgspec.MsgspecError as error:
                raise _damaged(name, begun, self.upto, "it doesn't begin as one") from error
            yield self._block(head, line + b"\n", lines, begun)

    def _block(self, head: BlockHead, line: bytes, lines: bytes, begun: int) -> Block:
        if head.sha256 != hashlib.sha256(lines).hexdigest() or head.events != lines.count(b"\n"):
            raise _damaged(f"block {head.block}", begun, self.upto, "its events don't agree with its first line")
        if head.block != self.chain.blocks + 1 or head.since != self.upto:
            raise _damaged(f"block {self.chain.blocks + 1}", begun, self.upto, "another block stands in its place")
        self.chain.add(head, line)
        self.upto = head.upto
        return Block(head, lines, self.good)

    def _end(self, trailer: Trailer, begun: int) -> None:
        if trailer != self.chain.trailer(self.header.upto):
            raise _damaged("the trailer", begun, self.upto, "it doesn't agree with header and blocks")
        if self._rest or self._file.read(1):
            raise _damaged("the end", self.good, self.upto, "something follows the trailer")
        self.trailer = trailer

    def _frame(self, name: str) -> bytes | None:
        """The next frame's content; None when the file ends before it is whole."""
        begun = self.good
        data = self._rest or self._file.read(_READ)
        while 0 < len(data) < _LONGEST_HEADER and (more := self._file.read(_READ)):
            data += more
        if not data:
            return None
        try:
            size = zstandard.get_frame_parameters(data).content_size
            if not 0 < size <= MOST_BYTES:
                raise _damaged(name, begun, getattr(self, "upto", 0), f"it says that it unpacks to {size} bytes")
            unpacking, pieces, read = zstandard.ZstdDecompressor().decompressobj(), [], 0
            while not unpacking.eof:
                if not data and not (data := self._file.read(_READ)):
                    return None
                pieces.append(unpacking.decompress(data))
                read += len(data)
                data = b""
        except zstandard.ZstdError as error:
            raise _damaged(name, begun, getattr(self, "upto", 0), str(error)) from error
        self._rest = unpacking.unused_data
        self.good += read - len(self._rest)
        return b"".join(pieces)


def _damaged(what: str, offset: int, upto: int, why: str) -> InvalidInput:
    return InvalidInput(
        f"The file is damaged: {what} at byte {offset}, behind position {upto}, can't be used ({why}). All before it "
        "is sound. Copy the file again, or export again, and import that: it goes on from there."
    )
