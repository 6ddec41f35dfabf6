"""Arrays of whole numbers in PostgreSQL's binary form (array_recv), for hundreds of rows at once: psycopg takes a
tenth of a microsecond for each number, which was a fifth of a rebuild."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, pairwise
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt
from psycopg import pq
from psycopg.adapt import Dumper

from projections.projection import Cursor

_HEAD = Struct(">5i")


class IntArrays:
    """One kind of array. `number` and `array` are the object ids of the types, as in pg_type."""

    def __init__(self, number: int, array: int, size: int) -> None:
        self._number = number
        self._element = np.dtype([("size", ">i4"), ("value", f">i{size}")])
        self._one = Struct(f">i{'h' if size == 2 else 'i'}")
        self._size = size
        self._head = cache(self._new_head)
        self.dumper = type("PackedArray", (_Packed,), {"oid": array})

    def elements(self, values: npt.NDArray[np.int64], bounds: Sequence[int]) -> list[bytes]:
        """The elements of each array, whose values begin and end at these bounds."""
        elements = np.empty(len(values), self._element)
        elements["size"], elements["value"] = self._size, values
        raw, width = elements.tobytes(), self._element.itemsize
        return [raw[start * width : end * width] for start, end in pairwise(bounds)]

    def elements_of(self, lists: Sequence[Sequence[int]]) -> list[bytes]:
        """The same of lists."""
        counts = [len(one) for one in lists]
        values = np.fromiter(chain.from_iterable(lists), np.int64, sum(counts))
        return self.elements(values, np.cumsum([0, *counts]).tolist())

    def element(self, value: int) -> bytes:
        """One element more."""
        return self._one.pack(self._size, value)

    def packed(self, elements: bytes) -> bytes:
        """The array with these elements."""
        return self._head(len(elements) // self._element.itemsize) + elements

    def text(self, packed: bytes | None) -> str | None:
        """The same array as PostgreSQL writes it."""
        if packed is None:
            return None
        values: Iterable[int] = np.frombuffer(packed[_HEAD.size :], self._element)["value"].tolist()
        return f"{{{','.join(map(str, values))}}}"

    def _new_head(self, count: int) -> bytes:
        """Dimensions, whether there are nulls, the elements' type; their number and first index."""
        return _HEAD.pack(1, 0, self._number, count, 1) if count else _HEAD.pack(0, 0, self._number, 0, 0)[:12]


class _Packed(Dumper):
    format = pq.Format.BINARY

    def dump(self, obj: Any) -> bytes:
        packed: bytes = obj
        return packed


INT2 = IntArrays(21, 1005, 2)
INT4 = IntArrays(23, 1007, 4)


def take_packed(cursor: Cursor) -> None:
    """Let the cursor's copies take packed arrays where `set_types` says int2[] or int4[]."""
    cursor.adapters.register_dumper(None, INT2.dumper)
    cursor.adapters.register_dumper(None, INT4.dumper)
