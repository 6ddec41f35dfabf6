"""Which values occur among the frames: from the columns, and from the database only what they leave open.

A facet that lies wholly in the range is known from its bounds. One that the range cuts is looked at frame by frame, and
only if it could add a value that no other facet has: hardly ever, so that most answers cost one short query, the one
that says that the columns are up to date.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import psycopg
from psycopg_pool import AsyncConnectionPool

from application.permissions import Principal
from projections.facets.columns import PACKED_ROW, Bools, FacetColumns, Moments, Numbers, instant, moment
from projections.facets.skipping import Skip, skip
from projections.facets.tables import DIMENSIONS

Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]
Values = tuple[list[str], ...]
"""The values of each of DIMENSIONS, sorted."""
NEVER = datetime.min.replace(tzinfo=UTC)
"""Before all frames."""
_PROPOSAL = DIMENSIONS.index("proposal_id")

_STATE = (
    "SELECT f.position, to_regclass('read_facets.facet')::oid::bigint, f.position = l.position AND l.failure = '' "
    "FROM starferry.projection f, starferry.projection l WHERE f.name = 'facets' AND l.name = 'frames'"
)
_CHANGED = (
    f"SELECT string_agg({PACKED_ROW}, ''::bytea) FROM read_facets.facet WHERE changed > %s GROUP BY id >> 16".encode()
)
_TERMS = "SELECT id, text FROM read_facets.term WHERE id >= %s ORDER BY id"
_FRAMES = (
    "SELECT DISTINCT facet FROM read_facets.member WHERE facet = ANY(%s) "
    "AND observation_date >= %s AND observation_date < %s "
    "AND ((%s AND public_date <= %s) OR (facet = ANY(%s) AND coalesce(public_date, 'infinity') > %s))"
)


_PUBLIC = "SELECT facet, count(*) FROM read_facets.member WHERE facet = ANY(%s) AND public_date < %s GROUP BY facet"


class FacetSearch(msgspec.Struct, frozen=True, kw_only=True):
    """`start` belongs to the range, `end` doesn't. `public` asks for public frames beside the viewer's own."""

    start: datetime
    end: datetime
    public: bool = False
    equal: Mapping[str, str] = {}


class Everything(msgspec.Struct, frozen=True):
    """What there is over all frames; `public_from` is when the first frame of each of `proposals` is public."""

    values: Values
    proposals: Numbers
    public_from: Moments


class FacetQueries:
    """Answers from `read_facets`. Belongs to one event loop."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._columns = FacetColumns()
        self._position = -1
        self._table = 0
        self._in_step = False
        self._everything: Everything | None = None
        self._refreshing = asyncio.Lock()
        self._begun = 0

    async def everything(self, viewer: Principal, now: datetime) -> Values:
        """The values of all frames; of proposals only those with a frame that the viewer may see."""
        columns = await self._fresh()
        known = self._everything = self._everything or _everything(columns)
        visible = (known.public_from <= instant(now)) | _own(columns, viewer)[known.proposals]
        *others, _ = known.values
        return (*others, _texts(columns, known.proposals[visible]))

    async def within(self, search: FacetSearch, viewer: Principal, now: datetime) -> Values:
        """The values of the range's public frames, if wanted, and of those not yet public that are the viewer's."""
        columns = await self._fresh()
        start, end = instant(search.start), instant(search.end)
        rows = _with(columns, columns.between(search.start.date(), search.end.date()), search.equal)
        earliest, latest = columns.observed_from[rows], columns.observed_to[rows]
        private = _own(columns, viewer)[columns.codes[_PROPOSAL, rows]] & (columns.public_to[rows] > instant(now))
        visible = private | (search.public & (columns.public_from[rows] <= instant(now)))
        whole = visible & (earliest >= start) & (latest < end)
        cut = visible & (earliest < end) & (latest >= start) & ~whole
        flags = columns.flags()
        _flag(columns, flags, rows[whole])
        unsure = cut.nonzero()[0]
        if len(unsure) and len(unsure := unsure[_adds(columns, flags, rows[unsure])]):
            found = await self._having_frames(rows[unsure], rows[unsure[private[unsure]]], search, now)
            _flag(columns, flags, found)
        return tuple(_texts(columns, np.flatnonzero(row)) for row in flags)

    async def skip(self, offset: int, equal: Mapping[str, str], viewer: Principal, now: datetime) -> Skip | None:
        """What a list of these frames, newest first, may leave out on its way to the offset. None where that can't be
        told: the frames' and the facets' read models aren't at the same event, or public dates are all over the place.
        """
        columns = await self._fresh()
        if not self._in_step:
            return None
        rows = _with(columns, columns.all(), equal)
        own = _own(columns, viewer)[columns.codes[_PROPOSAL, rows]]

        async def counting(facets: Numbers) -> dict[int, int]:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(_PUBLIC.encode(), ((facets + 1).tolist(), now))
                return {facet - 1: count for facet, count in await cursor.fetchall()}

        return await skip(columns, rows, own, instant(now), offset, counting)

    async def newest(self, equal: Mapping[str, str], viewer: Principal, now: datetime) -> datetime | None:
        """When the newest frame with these values was observed that the viewer may see, or a later time, before which
        a list of them can begin; NEVER without one. None where that can't be told: the frames' and the facets' read
        models aren't at the same event."""
        columns = await self._fresh()
        if not self._in_step:
            return None
        own, at = _own(columns, viewer), instant(now)
        for rows in columns.from_newest():
            rows = _with(columns, rows, equal)
            visible = (columns.public_from[rows] < at) | own[columns.codes[_PROPOSAL, rows]]
            visible &= columns.frames[rows] > 0
            if visible.any():
                return moment(int(columns.observed_to[rows[visible]].max()))
        return NEVER

    async def _having_frames(self, cut: Numbers, private: Numbers, search: FacetSearch, now: datetime) -> Numbers:
        """Those of the cut facets that have a frame in the range which the viewer may see."""
        parameters = ((cut + 1).tolist(), search.start, search.end, search.public, now, (private + 1).tolist(), now)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_FRAMES.encode(), parameters)
            return np.array([row[0] for row in await cursor.fetchall()], np.int32) - 1

    async def _fresh(self) -> FacetColumns:
        """The columns as of now or later. Requests that come while the database is asked share the next asking."""
        asked = self._begun
        async with self._refreshing:
            if self._begun == asked:
                self._begun += 1
                await self._refresh()
        return self._columns

    async def _refresh(self) -> None:
        async with self._pool.connection() as connection:
            position, table, self._in_step = (await _rows(connection, _STATE))[0]
            if (position, table) == (self._position, self._table):
                return
            # a rebuild puts another table in place, whose rows may have other numbers
            columns = self._columns if table == self._table else FacetColumns()
            changed = await _rows(connection, _CHANGED, max(self._position, columns.changed) if columns.size else 0)
            columns.learn(await _rows(connection, _TERMS, len(columns.terms)))
            for (packed,) in changed:
                columns.update(packed)
        if changed or table != self._table:
            self._everything = None
        self._columns, self._position, self._table = columns, position, table


def _everything(columns: FacetColumns) -> Everything:
    rows = np.flatnonzero(columns.frames[: columns.size] > 0).astype(np.int32)
    flags = columns.flags()
    _flag(columns, flags, rows)
    first = np.full(len(columns.terms), np.iinfo(np.int64).max)
    np.minimum.at(first, columns.codes[_PROPOSAL, rows], columns.public_from[rows])
    proposals = np.flatnonzero(flags[_PROPOSAL]).astype(np.int32)
    return Everything(tuple(_texts(columns, np.flatnonzero(row)) for row in flags), proposals, first[proposals])


def _with(columns: FacetColumns, rows: Numbers, equal: Mapping[str, str]) -> Numbers:
    """Those of the rows that have these texts."""
    for name, text in equal.items():
        rows = rows[columns.codes[DIMENSIONS.index(name), rows] == columns.code_of.get(text, 0)]
    return rows


def _own(columns: FacetColumns, viewer: Principal) -> Bools:
    """(terms): which texts are proposals of the viewer."""
    if viewer.is_superuser:
        return np.ones(len(columns.terms), np.bool_)
    own = np.zeros(len(columns.terms), np.bool_)
    own[[code for name in viewer.proposals if (code := columns.code_of.get(name))]] = True
    return own


def _flag(columns: FacetColumns, flags: Bools, rows: Numbers) -> None:
    """Set the flag of each value that the rows have."""
    for flag, codes in zip(flags, columns.codes, strict=True):
        flag[codes[rows]] = True


def _adds(columns: FacetColumns, flags: Bools, rows: Numbers) -> Bools:
    """Which rows have a value that isn't flagged."""
    known = np.ones(len(rows), np.bool_)
    for flag, codes in zip(flags, columns.codes, strict=True):
        known &= flag[codes[rows]]
    return ~known


def _texts(columns: FacetColumns, codes: Any) -> list[str]:
    return sorted(text for code in codes.tolist() if (text := columns.terms[code]))


async def _rows(
    connection: psycopg.AsyncConnection[tuple[Any, ...]], statement: str | bytes, *parameters: Any
) -> list[tuple[Any, ...]]:
    cursor = connection.cursor(binary=True)
    await cursor.execute(statement if isinstance(statement, bytes) else statement.encode(), parameters)
    return await cursor.fetchall()
