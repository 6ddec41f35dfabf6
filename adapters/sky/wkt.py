"""Well-known text, with EWKT's `SRID=4326;` before it: a scanner and one method a grammar rule.

OGC 06-103r4, section 7; case and white space don't matter, Z and M are read and dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from adapters.sky.shapes import DEEPEST, Shapes, Unreadable
from domain.footprint import Position

_SRID = re.compile(r"SRID\s*=\s*([0-9]{1,9})\s*;", re.IGNORECASE)
_TOKEN = re.compile(
    r"\s*(?:[A-Z]+(?![\w.])|[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:E[-+]?[0-9]+)?(?![\w.+-])|[(),])",
    re.IGNORECASE | re.ASCII,
)
_KIND = re.compile(r"(POINT|LINESTRING|POLYGON|MULTI(?:POINT|LINESTRING|POLYGON)|GEOMETRYCOLLECTION)(ZM|Z|M)?")
_NUMBER = re.compile(r"[-+.0-9].*|NAN")


def read(text: str) -> Shapes:
    """Raises Unreadable, and nothing else."""
    srid = _SRID.match(text)
    if srid:
        if int(srid[1]) != 4326:
            raise Unreadable("its SRID isn't 4326")
        text = text[srid.end() :]
    reader = _Reader(_tokens(text))
    reader.geometry()
    reader.expect("")
    return reader.shapes


def _tokens(text: str) -> list[str]:
    tokens = []
    place, end = 0, len(text.rstrip())
    while place < end:
        token = _TOKEN.match(text, place)
        if token is None:
            raise Unreadable("it isn't WKT, GeoJSON or hexadecimal WKB")
        tokens.append(token[0].strip().upper())
        place = token.end()
    # The empty token marks the end. Only `expect("")` goes past it, and that is the last thing done.
    return [*tokens, ""]


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.shapes = Shapes()
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def geometry(self) -> None:
        """One geometry of any kind, with its parts."""
        kind = _KIND.fullmatch(self._next)
        if kind is None:
            raise Unreadable("it isn't WKT, GeoJSON or hexadecimal WKB of a kind that can be searched for")
        self._at += 1
        if kind[2] is None and self._next in ("Z", "M", "ZM"):
            self._at += 1
        match kind[1]:
            case "POINT":
                self._point()
            case "LINESTRING":
                self._line()
            case "POLYGON":
                self._polygon()
            case "MULTIPOINT":
                self._list(self._point_of_many)
            case "MULTILINESTRING":
                self._list(self._line)
            case "MULTIPOLYGON":
                self._list(self._polygon)
            case _:
                self._collection()

    def expect(self, token: str) -> None:
        """Go past the token, which must be next."""
        if self._next != token:
            found = repr(self._next[:20]) if self._next else "the end"
            raise Unreadable(f"{repr(token) if token else 'the end'} was expected where {found} stands")
        self._at += 1

    @property
    def _next(self) -> str:
        return self._tokens[self._at]

    def _list(self, element: Callable[[], None]) -> None:
        """`EMPTY`, or elements in brackets, with commas between."""
        if self._next == "EMPTY":
            self._at += 1
            return
        self.expect("(")
        element()
        while self._next == ",":
            self._at += 1
            element()
        self.expect(")")

    def _collection(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Unreadable(f"it is nested more than {DEEPEST} deep")
        self._list(self.geometry)
        self._depth -= 1

    def _point(self) -> None:
        positions = self._path()
        if len(positions) > 1:
            raise Unreadable("a point has one position")
        for position in positions:
            self.shapes.point(position)

    def _point_of_many(self) -> None:
        if self._next in ("(", "EMPTY"):
            self._point()
        else:
            self.shapes.point(self._position())

    def _line(self) -> None:
        self.shapes.line(self._path())

    def _polygon(self) -> None:
        rings: list[list[Position]] = []
        self._list(lambda: rings.append(self._path()))
        self.shapes.polygon(rings)

    def _path(self) -> list[Position]:
        path: list[Position] = []
        self._list(lambda: path.append(self._position()))
        return path

    def _position(self) -> Position:
        numbers = []
        while _NUMBER.fullmatch(self._next):
            numbers.append(float(self._next))
            self._at += 1
        if not 2 <= len(numbers) <= 4:
            raise Unreadable("a position is RA and Dec with a space between")
        return numbers[0], numbers[1]
