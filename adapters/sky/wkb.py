"""Well-known binary written in hexadecimal, and its extension EWKB (flags for Z, M and an SRID in the kind).

OGC 06-103r4, section 8; ISO kinds (1001 and so on for Z, 2001 M, 3001 ZM) are understood too.
"""

from __future__ import annotations

import struct

from adapters.sky.shapes import DEEPEST, Shapes, Unreadable
from domain.footprint import Position

_HAS_Z, _HAS_M, _HAS_SRID = 0x80000000, 0x40000000, 0x20000000
_POINT, _LINE, _POLYGON, _MULTIPOINT, _COLLECTION = 1, 2, 3, 4, 7


def read(text: str) -> Shapes:
    """Raises Unreadable, and nothing else."""
    try:
        reader = _Reader(bytes.fromhex(text))
        reader.geometry(0)
    except (struct.error, ValueError):
        raise Unreadable("its hexadecimal WKB ends too early") from None
    if reader.left:
        raise Unreadable("its hexadecimal WKB goes on after the end")
    return reader.shapes


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.shapes = Shapes()
        self._data = data
        self._at = 0
        self._order = "<"

    @property
    def left(self) -> int:
        """How many bytes haven't been read."""
        return len(self._data) - self._at

    def geometry(self, depth: int) -> None:
        """One geometry of any kind, with its parts."""
        if depth > DEEPEST:
            raise Unreadable(f"it is nested more than {DEEPEST} deep")
        kind, numbers = self._header()
        match kind:
            case _ if kind == _POINT:
                position = self._path(1, numbers)[0]
                # An empty point is written as NaNs.
                self.shapes.point(None if position[0] != position[0] and position[1] != position[1] else position)
            case _ if kind == _LINE:
                self.shapes.line(self._path(self._count(), numbers))
            case _ if kind == _POLYGON:
                self.shapes.polygon([self._path(self._count(), numbers) for _ in range(self._count())])
            case _ if _MULTIPOINT <= kind <= _COLLECTION:
                for _ in range(self._count()):
                    self.geometry(depth + 1)
            case _:
                raise Unreadable("it is WKB of a kind that can't be searched for")

    def _header(self) -> tuple[int, int]:
        """The kind of geometry, 1 to 7, and how many numbers a position has."""
        order = self._whole("B")
        if order > 1:
            raise Unreadable("it isn't WKT, GeoJSON or hexadecimal WKB")
        self._order = "<" if order else ">"
        word = self._whole("I")
        if word & _HAS_SRID and self._whole("I") != 4326:
            raise Unreadable("its SRID isn't 4326")
        dimensions, kind = divmod(word & 0x1FFFFFFF, 1000)
        if dimensions > 3:
            raise Unreadable("it is WKB of a kind that can't be searched for")
        has_z = bool(word & _HAS_Z) or dimensions in (1, 3)
        has_m = bool(word & _HAS_M) or dimensions in (2, 3)
        return kind, 2 + has_z + has_m

    def _count(self) -> int:
        count = self._whole("I")
        # Every part takes at least four bytes: a larger number is a lie, and must not cost anything.
        if count * 4 > self.left:
            raise Unreadable("its hexadecimal WKB ends too early")
        return count

    def _path(self, count: int, numbers: int) -> list[Position]:
        self.shapes.count(count)
        values = self._take(f"{count * numbers}d")
        return [(values[first], values[first + 1]) for first in range(0, len(values), numbers)]

    def _whole(self, layout: str) -> int:
        return int(self._take(layout)[0])

    def _take(self, layout: str) -> tuple[float, ...]:
        layout = self._order + layout
        values = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return values
