"""The facet rows as columns in a serving process: asked with numpy, kept up by what changed since a position."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from projections.facets.tables import DIMENSIONS

Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int32]
Moments = npt.NDArray[np.int64]

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_ROW = np.dtype(
    [("id", ">i4"), ("day", ">i4"), *((name, ">i4") for name in DIMENSIONS), ("frames", ">i4"), ("changed", ">i8")]
    + [(name, ">i8") for name in ("observed_from", "observed_to", "public_from", "public_to")]
)
_MOMENTS = ("observed_from", "observed_to", "public_from", "public_to")
_FEW = 1024
_FIRST_LOOK = 64
"""Facets: about a night's."""

PACKED_ROW = " || ".join(
    [
        *(f"{'date_send' if name == 'day' else 'int4send'}({name})" for name in ("id", "day", *DIMENSIONS, "frames")),
        "int8send(changed)",
        *(f"timestamptz_send({name})" for name in _MOMENTS),
    ]
)
"""SQL for a row of `facet` as bytes: a hundred thousand of them arrive as one value, without an object for each."""


def instant(moment: datetime) -> int:
    """Microseconds since 2000, as PostgreSQL counts."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(microseconds: int) -> datetime:
    """The instant again."""
    return _EPOCH + timedelta(microseconds=microseconds)


def day_number(day: date) -> int:
    """Days since 2000, as PostgreSQL counts."""
    return (day - _EPOCH.date()).days


class FacetColumns:
    """Facet i is at index i - 1 of each column; `codes` has a row for each of DIMENSIONS, `terms[c]` is the text of
    code c. Days and moments count from 2000, as in PostgreSQL. Counts and bounds of a facet change, nothing else does.
    """

    def __init__(self) -> None:
        self.size = 0
        self.changed = 0
        self.terms: list[str] = [""]
        self.code_of: dict[str, int] = {}
        self.codes: Numbers = np.zeros((len(DIMENSIONS), 0), np.int32)
        self.frames: Numbers = np.zeros(0, np.int32)
        self.days: Numbers = np.zeros(0, np.int32)
        self.observed_from: Moments = np.zeros(0, np.int64)
        self.observed_to: Moments = np.zeros(0, np.int64)
        self.public_from: Moments = np.zeros(0, np.int64)
        self.public_to: Moments = np.zeros(0, np.int64)
        self._by_day: Numbers = np.zeros(0, np.int32)
        self._sorted_days: Numbers = np.zeros(0, np.int32)

    def learn(self, terms: list[tuple[int, str]]) -> None:
        """More texts, in the order of their numbers."""
        for code, text in terms:
            self.terms.append(text)
            self.code_of[text] = code

    def update(self, packed: bytes) -> None:
        """Rows that are new or have changed, as PACKED_ROW gives them."""
        rows: npt.NDArray[Any] = np.frombuffer(packed, _ROW)
        if not len(rows):
            return
        size = max(self.size, int(rows["id"].max()))
        self._make_room(size)
        at = rows["id"].astype(np.int32) - 1
        for name in ("frames", *_MOMENTS):
            getattr(self, name)[at] = rows[name]
        self.changed = max(self.changed, int(rows["changed"].max()))
        if size > self.size:
            self.days[at] = rows["day"]
            for row, name in enumerate(DIMENSIONS):
                self.codes[row, at] = rows[name]
            self.size = size
            days = self.days[:size]
            self._by_day = np.argsort(days, kind="stable").astype(np.int32)
            self._sorted_days = days[self._by_day]

    def between(self, first: date, last: date) -> Numbers:
        """Indices of the facets of these days, both included."""
        bounds = np.array([day_number(first), day_number(last) + 1], np.int32)
        begin, end = np.searchsorted(self._sorted_days, bounds)
        return self._by_day[begin:end]

    def from_newest(self) -> Iterator[Numbers]:
        """Indices of all facets, some days at a time, the newest first."""
        end, some = self.size, _FIRST_LOOK
        while end:
            begin = int(np.searchsorted(self._sorted_days, self._sorted_days[max(0, end - some)]))  # whole days
            yield self._by_day[begin:end]
            end, some = begin, 4 * some

    def all(self) -> Numbers:
        """Indices of all facets."""
        return np.arange(self.size, dtype=np.int32)

    def flags(self) -> Bools:
        """False for each text of each dimension: (dimensions, terms)."""
        return np.zeros((len(DIMENSIONS), len(self.terms)), np.bool_)

    def _make_room(self, size: int) -> None:
        room = len(self.frames)
        if size <= room:
            return
        more = max(_FEW, size + size // 8) - room
        for name in ("frames", "days", *_MOMENTS):
            setattr(self, name, np.pad(getattr(self, name), (0, more)))
        self.codes = np.pad(self.codes, ((0, 0), (0, more)))
