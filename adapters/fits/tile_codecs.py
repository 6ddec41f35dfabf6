"""Turns one compressed tile into pixels (FITS standard 4.0, section 10.4), as CFITSIO's funpack has them.

The algorithms themselves are astropy's, which come from CFITSIO.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from astropy.io.fits.hdu.compressed._codecs import PLIO1, HCompress1, Rice1
from astropy.io.fits.hdu.compressed._compression import CfitsioException
from astropy.io.fits.hdu.compressed._quantization import DITHER_METHODS, Quantize

from adapters.fits.cards import Value
from adapters.fits.tile_layout import whole
from domain.errors import InvalidFile

Pixels = np.ndarray[Any, np.dtype[Any]]
TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
"""The pixels of an image by BITPIX."""

_BROKEN = (CfitsioException, ValueError, RuntimeError, OverflowError, TypeError, zlib.error, struct.error)
_ALGORITHMS = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1", "NOCOMPRESS")
_HCOMPRESS = b"\xdd\x99"
"""What Hcompress data begin with; their width and height follow."""
_NO_DITHER = DITHER_METHODS["NO_DITHER"]
_GZIP = 31
"""zlib's window bits for gzip data."""


class TileDecoder:
    """Decodes the tiles of one image. `quantized` says that they hold whole numbers in place of real ones.

    Raises InvalidFile for what the standard doesn't know.
    """

    def __init__(self, values: Mapping[str, Value], *, quantized: bool) -> None:
        self._bits = whole(values, "ZBITPIX")
        if self._bits not in TYPES:
            raise InvalidFile(f"A compressed image has ZBITPIX = {self._bits}, which isn't a FITS number type.")
        self.type = np.dtype(TYPES[self._bits])
        self._packed_bits = 32 if quantized and self._bits < 0 else self._bits
        self._algorithm = str(values.get("ZCMPTYPE", "")).strip()
        if self._algorithm not in _ALGORITHMS:
            raise InvalidFile(f"A compressed image uses the unknown algorithm {self._algorithm[:40]!r}.")
        self._parameters = _parameters(values)
        method = str(values.get("ZQUANTIZ", "NO_DITHER")).strip()
        self._dither = DITHER_METHODS.get(method, _NO_DITHER)
        self._seed = whole(values, "ZDITHER0", 0)
        # run lengths know no negative numbers, so CFITSIO packs these as the unsigned ones that they stand for
        self._plio_offset = 32768 if self._bits == 16 and values.get("BZERO") == 32768 else 0

    def decode(self, data: bytes, shape: tuple[int, ...]) -> Pixels:
        """The numbers that a tile of this shape (slowest axis first) holds, not yet scaled. Raises InvalidFile."""
        try:
            numbers = self._numbers(data, shape)
        except _BROKEN as error:
            raise InvalidFile("A tile of a compressed image is damaged.") from error
        if numbers.size < prod(shape):
            raise InvalidFile("A tile of a compressed image is too short.")
        fitting: Pixels = numbers[: prod(shape)].reshape(shape)
        return fitting

    def unzip(self, data: bytes, shape: tuple[int, ...]) -> Pixels:
        """The pixels of a tile that was kept as gzip data because it couldn't be quantized. Raises InvalidFile."""
        try:
            return np.frombuffer(_unzipped(data, prod(shape) * self.type.itemsize), self.type).reshape(shape)
        except _BROKEN as error:
            raise InvalidFile("A tile of a compressed image is damaged.") from error

    def scaled(self, numbers: Pixels, row: int, scale: float, zero: float, blank: int | None) -> Pixels:
        """The pixels that quantized numbers stand for; `row` is the tile's row in the table, from 0."""
        whole_numbers = np.ascontiguousarray(numbers, dtype="=i4")
        if self._dither == _NO_DITHER:
            pixels = whole_numbers * np.float64(scale) + np.float64(zero)
        else:
            quantize = Quantize(row=row + self._seed, dither_method=self._dither, quantize_level=0, bitpix=self._bits)
            pixels = np.frombuffer(
                quantize.decode_quantized(whole_numbers, scale, zero), self.type.newbyteorder("=")
            ).reshape(numbers.shape)
        with np.errstate(over="ignore"):
            pixels = pixels.astype(self.type)
        if blank is not None:
            pixels.view(f">u{self.type.itemsize}")[whole_numbers == blank] = (1 << -self._bits) - 1
        return pixels

    def _numbers(self, data: bytes, shape: tuple[int, ...]) -> Any:
        size = prod(shape)
        match self._algorithm:
            case "RICE_1" | "RICE_ONE":
                width = self._parameters.get("BYTEPIX", 4)
                codec = Rice1(blocksize=self._parameters.get("BLOCKSIZE", 32), bytepix=width, tilesize=size)
                numbers: Pixels = codec.decode(np.frombuffer(data, np.uint8))
                return numbers.view(np.uint8) if width == 1 else numbers
            case "PLIO_1":
                return PLIO1(tilesize=size).decode(np.frombuffer(data, ">i2")) - self._plio_offset
            case "HCOMPRESS_1":
                deep = [length for length in shape if length != 1]
                rows, columns = ([1] * (2 - len(deep)) + deep) if len(deep) < 2 else deep
                if struct.unpack_from(">2s2i", data) != (_HCOMPRESS, rows, columns):
                    raise ValueError("another size than the tile's")  # the decoder would write beyond its memory
                smooth = bool(self._parameters.get("SMOOTH", 0))
                codec = HCompress1(
                    scale=self._parameters.get("SCALE", 0), smooth=smooth, bytepix=8, nx=rows, ny=columns
                )
                return codec.decode(np.frombuffer(data, np.uint8))
            case "NOCOMPRESS":
                return np.frombuffer(data, _unzipped_type(len(data), size, self._packed_bits))
            case _:
                plain = _unzipped(data, size * 8)
                kind = _unzipped_type(len(plain), size, self._packed_bits)
                if self._algorithm == "GZIP_2":
                    shuffled = np.frombuffer(plain, np.uint8).reshape(np.dtype(kind).itemsize, -1)
                    plain = shuffled.T.tobytes()
                return np.frombuffer(plain, kind)


def _parameters(values: Mapping[str, Value]) -> dict[str, int]:
    """The algorithm's parameters: ZNAMEn and ZVALn."""
    parameters: dict[str, int] = {}
    number = 1
    while name := values.get(f"ZNAME{number}"):
        value = values.get(f"ZVAL{number}")
        if isinstance(value, int | float):
            parameters.setdefault(str(name).strip().upper(), int(value))
        number += 1
    return parameters


def _unzipped(data: bytes, most: int) -> bytes:
    """What gzip data hold. Raises ValueError when that is more than `most` bytes: nobody packs a tile like that."""
    unpacker = zlib.decompressobj(_GZIP)
    plain = unpacker.decompress(data, most + 1)
    if len(plain) > most:
        raise ValueError("more bytes than a tile can have")
    return plain


def _unzipped_type(length: int, size: int, bits: int) -> str:
    """The numbers that so many bytes of a tile of `size` pixels are. Raises ValueError."""
    if length == size * abs(bits) // 8:
        return TYPES[bits]
    kinds = {size: ">u1", 2 * size: ">i2", 4 * size: ">i4", 8 * size: ">i8"}
    if length not in kinds:
        raise ValueError("not a whole number of pixels")
    return kinds[length]
