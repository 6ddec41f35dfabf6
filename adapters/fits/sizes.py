"""What a header claims about the size of its data (FITS standard 4.0, sections 4.4.1, 6 and 7; tile compression: 10).

Only the structural cards are read here, straight from the bytes, so that the walk over a file stays cheap.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from adapters.fits.byte_streams import SMALL
from domain.errors import AbsurdSize, NotFits

CARD = 80
HIGHEST_TILE_RATIO = 2000
_STRUCTURAL = re.compile(rb"(XTENSION|BITPIX|NAXIS\d{0,3}|[PG]COUNT|GROUPS|Z(?:IMAGE|TABLE|BITPIX|NAXIS\d{0,3})) *=")
_WHOLE = re.compile(r"[+-]?\d+")
_BITS = frozenset((8, 16, 32, 64, -32, -64))
_BEYOND_ALL = 1 << 80

Structure = Mapping[str, str]


def structure_of(header: bytes) -> dict[str, str]:
    """The structural cards of a header as text; of a repeated card the first counts."""
    found: dict[str, str] = {}
    for start in range(0, len(header), CARD):
        match = _STRUCTURAL.match(header, start, start + 10)
        if match:
            value = header[match.end() : start + CARD].split(b"/", 1)[0]
            found.setdefault(match[1].decode("ascii"), value.decode("latin-1").strip(" '\0"))
    return found


class Claims:
    """Reads the claims of HDU number `index` of `filename`. Raises NotFits or AbsurdSize."""

    def __init__(self, structure: Structure, *, filename: str, index: int, max_bytes: int) -> None:
        self._structure = structure
        self._where = f"{filename}, HDU {index},"
        self._primary = index == 0
        self._max_bytes = max_bytes

    def data_bytes(self) -> int:
        """Bytes of data that follow the header, without the padding of the last block."""
        bits = self._bits("BITPIX")
        axes = self._axes("NAXIS")
        if not axes:
            return 0
        parameters = self._count("PCOUNT", 0)
        groups = self._count("GCOUNT", 1)
        if self._primary and axes[0] == 0 and self._structure.get("GROUPS") == "T":
            elements = groups * (parameters + _product(axes[1:]))
        else:
            elements = groups * (parameters + _product(axes))
        size = elements * bits // 8
        if size > self._max_bytes:
            raise AbsurdSize(f"{self._where} claims {_figure(size)} bytes of data; {self._max_bytes:,} is the most.")
        if self._structure.get("ZIMAGE") == "T":
            self._check_unpacked(self._axes("ZNAXIS"), self._bits("ZBITPIX"), size)
        elif self._structure.get("ZTABLE") == "T":
            self._check_unpacked(self._axes("NAXIS", prefix="Z", of=2), 8, size)
        return size

    def _check_unpacked(self, axes: list[int], bits: int, packed: int) -> None:
        unpacked = _product(axes) * bits // 8 if axes else 0
        if unpacked > self._max_bytes:
            raise AbsurdSize(
                f"{self._where} would unpack to {_figure(unpacked)} bytes; {self._max_bytes:,} is the most."
            )
        if unpacked > SMALL and unpacked > HIGHEST_TILE_RATIO * packed:
            raise AbsurdSize(
                f"{self._where} has {packed:,} bytes of compressed data and would unpack to {unpacked:,}, "
                f"over {HIGHEST_TILE_RATIO} times as many."
            )

    def _axes(self, key: str, *, prefix: str = "", of: int | None = None) -> list[int]:
        number = self._whole(key) if of is None else of
        if not 0 <= number <= 999:
            raise AbsurdSize(f"{self._where} claims {key} = {_figure(number)}, which must be from 0 to 999.")
        axes = [self._whole(f"{prefix}{key}{axis}") for axis in range(1, number + 1)]
        for axis, length in enumerate(axes, 1):
            if length < 0:
                raise AbsurdSize(f"{self._where} claims {prefix}{key}{axis} = {_figure(length)}, below zero.")
        return axes

    def _bits(self, key: str) -> int:
        bits = self._whole(key)
        if bits not in _BITS:
            raise NotFits(f"{self._where} has {key} = {_figure(bits)}, which isn't a FITS number type.")
        return abs(bits)

    def _count(self, key: str, absent: int) -> int:
        count = self._whole(key) if key in self._structure else absent
        if count < 0:
            raise AbsurdSize(f"{self._where} claims {key} = {_figure(count)}, below zero.")
        return count

    def _whole(self, key: str) -> int:
        text = self._structure.get(key)
        if text is None:
            raise NotFits(f"{self._where} lacks {key}, without which its size can't be known.")
        if not _WHOLE.fullmatch(text):
            raise NotFits(f"{self._where} has {key} = {text!r}, which isn't a whole number.")
        return int(text)


def _product(lengths: list[int]) -> int:
    if 0 in lengths:
        return 0
    product = 1
    for length in lengths:
        product = min(product * length, _BEYOND_ALL)
    return product


def _figure(number: int) -> str:
    return f"{number:,}" if abs(number) < 10**18 else f"{number:.1e}"
