"""Where the tiles of a compressed image are: in the image, and in the table that holds them (FITS 4.0, 10.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod

import msgspec

from adapters.fits.cards import Value
from domain.errors import InvalidFile

_FORM = re.compile(r"\s*(\d*)([LXBIJKAEDCMPQ])")
_WIDTHS = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}


class Column(msgspec.Struct, frozen=True):
    """One column of the table: where it is in a row, what it holds (a letter of TFORM), and for a variable array (P, Q)
    the letter of its elements."""

    offset: int
    kind: str
    element: str


def columns_of(values: Mapping[str, Value]) -> dict[str, Column]:
    """The columns of a binary table by name. Raises InvalidFile."""
    columns: dict[str, Column] = {}
    offset = 0
    for number in range(1, whole(values, "TFIELDS") + 1):
        form = str(values.get(f"TFORM{number}"))
        match = _FORM.match(form)
        if not match:
            raise InvalidFile(f"The compressed image has a column of the unknown form {form[:40]!r}.")
        repeat, kind = int(match[1] or 1), match[2]
        name = str(values.get(f"TTYPE{number}", "")).strip()
        columns[name] = Column(offset, kind, form[match.end() : match.end() + 1])
        offset += -(-repeat // 8) if kind == "X" else repeat * _WIDTHS[kind]
    if offset != whole(values, "NAXIS1"):
        raise InvalidFile("The columns of a compressed image don't fill its table's rows.")
    return columns


class Band(msgspec.Struct, frozen=True):
    """A run of the image's bytes that some whole tiles cover. `shape` counts pixels, slowest axis first; `tiles` holds
    the place of each tile in it, in the order of the table's rows."""

    shape: tuple[int, ...]
    tiles: list[tuple[slice, ...]]


def bands(axes: tuple[int, ...], tile: tuple[int, ...]) -> Iterator[Band]:
    """The bands of an image in the order of its bytes; both sizes count pixels, fastest axis first.

    A band is no larger than the tiles make it: a row of tiles along the axes up to the last one on which a tile has any
    depth. So rows, the usual tiles, are bands of their own.
    """
    deep = max((axis for axis, length in enumerate(tile) if length > 1), default=0)
    across = [_cuts(axes[axis], tile[axis]) for axis in range(deep)]
    whole_axes = tuple(reversed(axes[:deep]))
    for _ in range(prod(axes[deep + 1 :])):
        for cut in _cuts(axes[deep], tile[deep]):
            depth = cut.stop - cut.start
            places = product(*reversed(across))
            yield Band((depth, *whole_axes), [(slice(0, depth), *place) for place in places])


def _cuts(length: int, tile: int) -> list[slice]:
    return [slice(start, min(start + tile, length)) for start in range(0, length, tile)]


def whole(values: Mapping[str, Value], key: str, absent: int | None = None) -> int:
    """A whole number from a header. Raises InvalidFile."""
    value = values.get(key, absent)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidFile(f"The compressed image has no whole number for {key}.")
    return value
