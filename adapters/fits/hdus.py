"""Walks the HDUs of a FITS file from block to block: headers are kept for a moment, data are passed over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from adapters.fits.byte_streams import ByteStream
from adapters.fits.sizes import CARD, Claims, structure_of
from domain.errors import AbsurdSize, NotFits, TruncatedFile

BLOCK = 2880
MOST_CARDS = 10_000
"""Cards of one header; the richest observatory headers have about a thousand."""
MOST_HDUS = 5_000
PIECE = 1024 * 1024


class Hdu(msgspec.Struct, frozen=True):
    """Where one HDU is in its file. `header` is the cards without END and padding; the rest counts bytes: where the
    header and the data begin, and how many data there are without the padding of their last block."""

    header: bytes
    start: int
    data_start: int
    data_bytes: int


def headers(stream: ByteStream, filename: str, *, max_bytes: int) -> Iterator[bytes]:
    """The cards of every HDU's header, in order, without END and padding. See `hdus`."""
    return (hdu.header for hdu in hdus(stream, filename, max_bytes=max_bytes))


def hdus(stream: ByteStream, filename: str, *, max_bytes: int) -> Iterator[Hdu]:
    """Every HDU of a file, in order.

    The walk is complete only when the iterator is exhausted: then every HDU is whole. A missing padding of the last
    block is tolerated, missing data are not. Raises NotFits, TruncatedFile, AbsurdSize, and what the stream raises.
    """
    start = 0
    for index in range(MOST_HDUS):
        block = stream.read(BLOCK)
        if index == 0:
            _check_first(block, filename)
        elif not block.startswith(b"XTENSION"):
            _check_rest(block, stream, filename, index)
            return
        header, data_start = _header(block, stream, filename, index, start)
        size = Claims(structure_of(header), filename=filename, index=index, max_bytes=max_bytes).data_bytes()
        found = stream.skip(size)
        if found < size:
            raise TruncatedFile(
                f"{filename} is cut short: HDU {index} claims {size:,} bytes of data, and only {found:,} are there."
            )
        yield Hdu(header, start, data_start, size)
        start = data_start + size + stream.skip(-size % BLOCK)
    raise AbsurdSize(f"{filename} has more than {MOST_HDUS:,} HDUs.")


def copied(source: BinaryIO, start: int, count: int) -> Iterator[bytes]:
    """`count` bytes from `start`; the padding of a last block is made up for where the file lacks it.

    Raises TruncatedFile when more is missing than that.
    """
    source.seek(start)
    left = count
    while left and (piece := source.read(min(PIECE, left))):
        left -= len(piece)
        yield piece
    if left >= BLOCK:
        raise TruncatedFile("The file has become shorter while it was read.")
    if left:
        yield bytes(left)


def _check_first(block: bytes, filename: str) -> None:
    if not block:
        raise NotFits(f"{filename} is empty.")
    if block.startswith(b"\x1f\x8b"):
        raise NotFits(f"{filename} is gzip data; unpack it, or give it a name that ends in .gz.")
    if not block.startswith(b"SIMPLE  ="):
        raise NotFits(f"{filename} isn't FITS: it doesn't begin with SIMPLE = T.")
    value = block[9:CARD].split(b"/", 1)[0].strip()
    if value != b"T":
        raise NotFits(f"{filename} doesn't claim to follow the FITS standard: SIMPLE is {value[:20]!r}, not T.")


def _check_rest(block: bytes, stream: ByteStream, filename: str, index: int) -> None:
    """After the last HDU nothing may follow but up to one block of zeros."""
    if block.strip(b"\0"):
        raise NotFits(f"{filename} carries bytes after HDU {index - 1} that aren't a FITS extension.")
    if stream.read(1):
        raise NotFits(f"{filename} carries more than {BLOCK:,} bytes after its last HDU, HDU {index - 1}.")


def _header(block: bytes, stream: ByteStream, filename: str, index: int, start: int) -> tuple[bytes, int]:
    """The cards, and where the data begin."""
    cards = bytearray()
    while True:
        end = _end(block)
        if end is not None:
            blocks = len(cards) // BLOCK + 1
            return bytes(cards + block[:end]), start + blocks * BLOCK
        cards += block
        if len(block) < BLOCK:
            raise TruncatedFile(f"{filename} is cut short: the header of HDU {index} has no END card.")
        if len(cards) > MOST_CARDS * CARD:
            raise AbsurdSize(f"{filename} has a header with more than {MOST_CARDS:,} cards, in HDU {index}.")
        block = stream.read(BLOCK)


def _end(block: bytes) -> int | None:
    at = block.find(b"END")
    while at >= 0:
        if at % CARD == 0 and block[at : at + 8].rstrip(b" \0") == b"END":
            return at
        at = block.find(b"END", at + 1)
    return None
