"""Unpacks tile-compressed FITS files (`.fits.fz`) as they are read: what CFITSIO's `funpack -C` writes, byte for byte.

One band of tiles is in memory at a time, and the length is known from the headers before the first pixel is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, BinaryIO

import numpy as np

from adapters.fits.byte_streams import PlainStream
from adapters.fits.cards import Value, header_values
from adapters.fits.hdus import BLOCK, PIECE, Hdu, copied, hdus
from adapters.fits.restored_headers import cards_of, header_bytes, image_cards
from adapters.fits.sizes import structure_of
from adapters.fits.tile_codecs import Pixels, TileDecoder
from adapters.fits.tile_layout import Band, Column, bands, columns_of, whole
from domain.errors import InvalidFile, TruncatedFile

MOST_BAND_BYTES = 1 << 30
"""The largest band that is unpacked: a tile that is a whole image must be held whole."""

_ROWS_AT_A_TIME = 4096


class UnpackedFile:
    """A packed file, opened to be read unpacked.

    `source` is seekable and has `size` bytes. Raises NotFits, TruncatedFile, AbsurdSize, InvalidFile, and what the
    source raises.
    """

    def __init__(self, source: BinaryIO, size: int, filename: str, *, max_bytes: int) -> None:
        self._source = source
        self._parts = _parts(list(hdus(PlainStream(source, size), filename, max_bytes=max_bytes)))
        self.size = sum(part.size for part in self._parts)

    def pieces(self) -> Iterator[bytes]:
        """The unpacked file's bytes, in order. Raises InvalidFile, TruncatedFile for damaged tiles."""
        for part in self._parts:
            yield from part.pieces(self._source)


class _Copied:
    """An HDU that stays as it is."""

    def __init__(self, hdu: Hdu) -> None:
        self._hdu = hdu
        self._header = header_bytes(cards_of(hdu.header), blocks=(hdu.data_start - hdu.start) // BLOCK)
        self._padded = hdu.data_bytes + -hdu.data_bytes % BLOCK
        self.size = len(self._header) + self._padded

    def pieces(self, source: BinaryIO) -> Iterator[bytes]:
        yield self._header
        yield from copied(source, self._hdu.data_start, self._padded)


class _Image:
    """An HDU that is an image again."""

    def __init__(self, hdu: Hdu, primary: Hdu | None) -> None:
        restored = image_cards(
            cards_of(hdu.header),
            blocks=(hdu.data_start - hdu.start) // BLOCK,
            takes_first_place=primary is not None,
            primary=cards_of(primary.header) if primary else (),
        )
        self._header = header_bytes(restored)
        values = header_values(hdu.header, without=("COMMENT", "HISTORY", ""))
        self._tiles = _Tiles(hdu, values)
        self.size = len(self._header) + self._tiles.bytes + -self._tiles.bytes % BLOCK

    def pieces(self, source: BinaryIO) -> Iterator[bytes]:
        yield self._header
        gathered = bytearray()
        for pixels in self._tiles.decoded(source):
            band = pixels.reshape(-1).view(np.uint8)
            for start in range(0, len(band), PIECE):
                gathered += band[start : start + PIECE].data
                if len(gathered) >= PIECE:
                    yield bytes(gathered)
                    gathered.clear()
        yield bytes(gathered).ljust(len(gathered) + -self._tiles.bytes % BLOCK, b"\0")


class _Tiles:
    """The compressed pixels of one image."""

    def __init__(self, hdu: Hdu, values: Mapping[str, Value]) -> None:
        self._columns = columns_of(values)
        quantized = "ZSCALE" in self._columns or "ZSCALE" in values
        self._decoder = TileDecoder(values, quantized=quantized)
        axes = tuple(whole(values, f"ZNAXIS{axis}") for axis in range(1, whole(values, "ZNAXIS") + 1))
        rows = (axes[:1] + (1,) * len(axes))[: len(axes)]
        tile = tuple(whole(values, f"ZTILE{axis}", rows[axis - 1]) for axis in range(1, len(axes) + 1))
        if any(length < 1 for length in tile):
            raise InvalidFile("A compressed image has tiles without pixels.")
        self._axes, self._tile = axes, tile
        self.bytes = prod(axes) * self._decoder.type.itemsize if axes else 0
        self._values = values
        self._row_bytes = whole(values, "NAXIS1")
        self._row_count = whole(values, "NAXIS2")
        self._table = hdu.data_start
        self._heap = hdu.data_start + whole(values, "THEAP", self._row_bytes * self._row_count)
        self._end = hdu.data_start + hdu.data_bytes

    def decoded(self, source: BinaryIO) -> Iterator[Pixels]:
        """The image's pixels, band by band."""
        if not self.bytes:
            return
        rows = self._rows(source)
        for band in bands(self._axes, self._tile):
            if prod(band.shape) * self._decoder.type.itemsize > MOST_BAND_BYTES:
                raise InvalidFile("The tiles of a compressed image are too large to unpack.")
            yield self._band(source, band, rows)

    def _band(self, source: BinaryIO, band: Band, rows: Iterator[tuple[int, bytes]]) -> Pixels:
        pixels = np.empty(band.shape, self._decoder.type)
        for place in band.tiles:
            number, row = next(rows, (0, b""))
            if not row:
                raise TruncatedFile("A compressed image has fewer tiles than its size asks for.")
            shape = tuple(cut.stop - cut.start for cut in place)
            pixels[place] = self._tile_pixels(source, number, row, shape)
        return pixels

    def _rows(self, source: BinaryIO) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of each row. Many are read at a time, so that the heap is mostly read straight through."""
        for first in range(0, self._row_count, _ROWS_AT_A_TIME):
            count = min(_ROWS_AT_A_TIME, self._row_count - first)
            source.seek(self._table + first * self._row_bytes)
            block = _exactly(source, count * self._row_bytes)
            for index in range(count):
                yield first + index, block[index * self._row_bytes : (index + 1) * self._row_bytes]

    def _tile_pixels(self, source: BinaryIO, number: int, row: bytes, shape: tuple[int, ...]) -> Pixels:
        decoder, is_real = self._decoder, self._decoder.type.kind == "f"
        data = self._array(source, row, "COMPRESSED_DATA")
        if data:
            numbers = decoder.decode(data, shape)
            scale = self._number(row, "ZSCALE")
            if not is_real:
                return _fitted(numbers, decoder.type)
            if scale is None:
                if numbers.dtype != decoder.type:
                    raise InvalidFile("A compressed image of real numbers has no scale.")
                return _cleaned(numbers)
            zero = self._number(row, "ZZERO") or 0.0
            blank = self._number(row, "ZBLANK")
            return decoder.scaled(numbers, number, scale, zero, None if blank is None else int(blank))
        if data := self._array(source, row, "GZIP_COMPRESSED_DATA"):
            pixels = decoder.unzip(data, shape)
        elif data := self._array(source, row, "UNCOMPRESSED_DATA"):
            if len(data) != prod(shape) * decoder.type.itemsize:
                raise InvalidFile("A tile of a compressed image is too short.")
            pixels = np.frombuffer(data, decoder.type).reshape(shape)
        else:
            raise InvalidFile("A tile of a compressed image has no data.")
        return _cleaned(pixels) if is_real else pixels

    def _array(self, source: BinaryIO, row: bytes, name: str) -> bytes:
        """The elements that a row has in a column of variable arrays."""
        column = self._columns.get(name)
        if column is None:
            return b""
        form = ">qq" if column.kind == "Q" else ">ii"
        if column.kind not in "PQ" or column.element not in _ELEMENT_BYTES:
            raise InvalidFile(f"The column {name} of a compressed image isn't a variable array.")
        count, offset = struct.unpack_from(form, row, column.offset)
        length = count * _ELEMENT_BYTES[column.element]
        start = self._heap + offset
        if count < 0 or offset < 0 or start + length > self._end:
            raise TruncatedFile("A compressed image has a tile that lies outside its data.")
        if source.tell() != start:
            source.seek(start)
        return _exactly(source, length)

    def _number(self, row: bytes, name: str) -> float | int | None:
        """A number that stands in a column, or for all tiles in the header."""
        column: Column | None = self._columns.get(name)
        if column is not None and column.kind in _NUMBERS:
            found: float | int = struct.unpack_from(_NUMBERS[column.kind], row, column.offset)[0]
            return found
        value = self._values.get(name)
        return value if isinstance(value, int | float) else None


_ELEMENT_BYTES = {"B": 1, "I": 2, "J": 4, "E": 4, "D": 8}
_NUMBERS = {"I": ">h", "J": ">i", "K": ">q", "E": ">f", "D": ">d"}


def _parts(found: list[Hdu]) -> list[_Copied | _Image]:
    parts: list[_Copied | _Image] = []
    for index, hdu in enumerate(found):
        structure = structure_of(hdu.header)
        if structure.get("ZIMAGE") == "T":
            was_primary = any(card.startswith(b"ZSIMPLE =") for card in cards_of(hdu.header))
            own = was_primary and index == 1 and found[0].data_bytes == 0
            if own:
                parts.clear()
            parts.append(_Image(hdu, found[0] if own else None))
        elif structure.get("ZTABLE") == "T":
            raise InvalidFile("The file holds a compressed table, which can't be unpacked here.")
        else:
            parts.append(_Copied(hdu))
    return parts


def _exactly(source: BinaryIO, count: int) -> bytes:
    data = source.read(count)
    if len(data) < count:
        raise TruncatedFile("A compressed image ends before its data do.")
    return data


def _fitted(numbers: Pixels, kind: np.dtype[Any]) -> Pixels:
    """Whole numbers as the image's type has them; what doesn't fit, after a lossy compression, becomes the extreme."""
    if numbers.dtype.itemsize > kind.itemsize:
        limits = np.iinfo(kind)
        numbers = numbers.clip(limits.min, limits.max)
    return numbers.astype(kind)


def _cleaned(pixels: Pixels) -> Pixels:
    """Real numbers as CFITSIO hands them on: all that aren't numbers alike, and zero for what is too small for it."""
    bits = pixels.view(f">u{pixels.dtype.itemsize}").copy()
    exponent = 0x7F80_0000 if pixels.dtype.itemsize == 4 else 0x7FF0_0000_0000_0000
    found = bits & exponent
    bits[found == exponent] = (1 << (8 * pixels.dtype.itemsize)) - 1
    bits[found == 0] = 0
    return bits.view(pixels.dtype)
