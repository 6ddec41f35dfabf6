"""Which rows make a page: the ways to find the first of what a search matches, and when each is the best."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from application.permissions import Principal
from application.ports.sky import Sky
from domain.footprint import Footprint
from projections.frames.candidates import Candidates, candidates
from projections.frames.counts import Connection
from projections.frames.fetching import fetch, numbers
from projections.frames.gram_frequencies import GramFrequencies
from projections.frames.keyset import Mark, Order, order_by, total
from projections.frames.months import windows
from projections.frames.newest import COMMON, EVERYWHERE, walk
from projections.frames.ranking import first_rows
from projections.frames.rows import AREA, COLUMNS
from projections.frames.search import FrameSearch, Where, conditions

NEWEST_FIRST: Order = (("observation_date", True),)
AT_ONCE = 2_000
"""Candidates that are read by one statement; of more, a cursor gives CANDIDATES at a time."""
CANDIDATES = 400
NEAR = 200
"""The end of the last page that is looked for among the newest frames. Beyond, an index finds all matches once."""

Row = tuple[Any, ...]


class Part(msgspec.Struct, frozen=True):
    """Which rows are wanted, of a total order: so many, behind the skipped ones, which begin behind the mark."""

    order: Order
    limit: int
    skipped: int
    after: Mark | None
    newest: datetime | None = None
    """When the newest of them was observed at the latest, where that is known."""

    @property
    def end(self) -> int:
        """The number of the last row, counted from the mark."""
        return self.skipped + self.limit

    @property
    def ordered(self) -> str:
        """The order as SQL."""
        return order_by(self.order)


class Found(msgspec.Struct, frozen=True):
    """A page's rows, whether there are more, and how many there are from the mark on, when the last one was seen."""

    rows: list[Row]
    more: bool
    seen: int | None


class Pages:
    """Finds the rows of pages. Belongs to one event loop."""

    def __init__(self, sky: Sky) -> None:
        self._sky = sky
        self._frequencies = GramFrequencies()
        self._footprints = msgspec.json.Decoder(list[Footprint])

    async def conditions(
        self,
        pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]],
        search: FrameSearch,
        viewer: Principal,
        now: datetime,
    ) -> Where:
        """What a list's frames meet, a version among it."""
        if search.grams:
            async with pool.connection() as connection:
                await self._frequencies.learn(connection)
        where = conditions(search, viewer, now, self._frequencies.rarest)
        where.add("f.version_set <> ''")
        return where

    async def find(
        self,
        connection: Connection,
        search: FrameSearch,
        viewer: Principal,
        now: datetime,
        where: Where,
        part: Part,
    ) -> Found:
        """The wanted part of what meets the conditions, which those of the mark are among."""
        if search.geometric:
            return await self._in_region(connection, search, where, part)
        upto = _upto(search, part, now)
        share = self._frequencies.at_most(search.grams)
        if upto is None or not search.only_texts or share < COMMON:
            return await self._at_once(connection, where, part, sorted_=bool(search.grams))
        if share >= EVERYWHERE and part.after is None:
            everything = conditions(search, viewer, now, choose=lambda _: [])
            everything.add("f.version_set <> ''")
            rows = await walk(connection, everything, part.order, part.end + 1, part.newest)
            if rows is not None:
                return _page(rows, part)
        if search.grams:
            return await self._by_months(connection, where, part, upto)
        return await self._at_once(connection, where, part, sorted_=False)

    async def count(
        self, connection: Connection, search: FrameSearch, where: Where, seconds: float
    ) -> tuple[int, bool]:
        """How many match a search for a region, and whether it is only a lower bound, since it took so long."""
        count = 0
        deadline = time.monotonic() + seconds
        async with aclosing(self._inside(connection, search, candidates(self._sky, search, where))) as batches:
            async for rows in batches:
                count += len(rows)
                if time.monotonic() > deadline:
                    return count, True
        return count, False

    def exactly(self, rows: list[Row], search: FrameSearch, area: int = AREA) -> list[Row]:
        """The rows whose footprints match; each row's is in its column `area`."""
        for region, test in ((search.covers, self._sky.covers_many), (search.intersects, self._sky.intersects_many)):
            if region is None:
                continue
            rows = [row for row in rows if row[area] is not None]
            hits = test(self._footprints.decode(f"[{','.join(row[area] for row in rows)}]"), region)
            rows = [row for row, hit in zip(rows, hits, strict=True) if hit]
        return rows

    async def _at_once(self, connection: Connection, where: Where, part: Part, *, sorted_: bool) -> Found:
        """By one statement. `sorted_` says that all that match will be sorted, since no index gives them in order."""
        source = f"read_frames.frame f {where.sql()}"
        statement = (
            first_rows(source, part.ordered, part.limit + 1, part.skipped)
            if sorted_
            # literals for the same reason as there
            else f"SELECT {COLUMNS} FROM {source} {part.ordered} LIMIT {part.limit + 1} OFFSET {part.skipped}"
        )
        rows = await fetch(connection, statement, where.parameters)
        more = len(rows) > part.limit
        seen = part.skipped + len(rows) if not more and (rows or not part.skipped) else None
        return Found(rows[: part.limit], more, seen)

    async def _by_months(self, connection: Connection, where: Where, part: Part, upto: datetime) -> Found:
        """From the newest months back, until the page is full."""
        rows: list[Row] = []
        for window in windows(upto):
            within = where.copy()
            window.narrow(within)
            source = f"read_frames.frame f {within.sql()}"
            statement = first_rows(source, part.ordered, part.end + 1 - len(rows))
            rows += await fetch(connection, statement, within.parameters)
            if len(rows) > part.end:
                break
        return _page(rows, part)

    def _first_exactly(self, outlined: list[Row], search: FrameSearch, wanted: int) -> list[Row]:
        """The first so many rows of number and footprint that match, or more; no more are tested than seem needed."""
        found: list[Row] = []
        tested, some = 0, 2 * wanted  # nearly always enough
        while tested < len(outlined) and len(found) < wanted:
            found += self.exactly(outlined[tested : tested + some], search, area=1)
            tested += some
            some = 20 + (wanted - len(found)) * tested // (len(found) + 1)
        return found

    async def _in_region(self, connection: Connection, search: FrameSearch, where: Where, part: Part) -> Found:
        """Candidates in order, tested exactly until the page is full."""
        everything = candidates(self._sky, search, where)
        few, many = part.end + part.end // 4 + 5, 2 * part.end + 50
        if search.intersects is None and few <= AT_ONCE:  # nearly all that may cover a point do
            rows = await fetch(connection, first_rows(everything.source, part.ordered, few), everything.parameters)
            found = self.exactly(rows, search)
            if len(found) > part.end or len(rows) < few:
                return _page(found, part)
        while many <= AT_ONCE:
            statement = first_rows(everything.source, part.ordered, many, columns="f.id, f.area")
            outlined = await fetch(connection, statement, everything.parameters)
            found = self._first_exactly(outlined, search, part.end + 1)
            if len(found) > part.end or len(outlined) < many:
                rows = await self._whole(connection, where, part, found[part.skipped : part.end])
                more = len(found) > part.end
                return Found(rows, more, None if more else len(found))
            many *= 4
        found = []
        async with aclosing(self._inside(connection, search, everything, part.ordered)) as batches:
            async for rows in batches:
                found += rows
                if len(found) > part.end:
                    break
        return _page(found, part)

    async def _whole(self, connection: Connection, where: Where, part: Part, found: list[Row]) -> list[Row]:
        """Whole rows of those found, by their first column. What meets the conditions no more isn't shown."""
        if not found:
            return []
        where = where.copy()
        where.add("f.id = ANY(%s::int[])", numbers(row[0] for row in found))
        source = f"read_frames.frame f {where.sql()}"
        return await fetch(connection, f"SELECT {COLUMNS} FROM {source} {part.ordered}", where.parameters)

    async def _inside(
        self, connection: Connection, search: FrameSearch, some: Candidates, ordered: str = ""
    ) -> AsyncGenerator[list[Row]]:
        """The rows whose footprints match, a batch at a time: candidates by cell keys, tested exactly."""
        async with connection.transaction(), connection.cursor(name="candidates", row_factory=tuple_row) as cursor:
            await cursor.execute(f"SELECT {COLUMNS} FROM {some.source} {ordered}".encode(), some.parameters)
            while rows := await cursor.fetchmany(CANDIDATES):
                yield self.exactly(rows, search)
                if len(rows) < CANDIDATES:
                    return


def _upto(search: FrameSearch, part: Part, now: datetime) -> datetime | None:
    """Up to when one has to look, if it is good to look at the newest frames first."""
    dated = search.start is not None or search.end is not None
    if part.order != total(NEWEST_FIRST) or part.end > NEAR or dated:
        return None
    bound = part.newest if part.after is None else part.after.values[0]
    return now if bound is None else min(now, bound)


def _page(rows: list[Row], part: Part) -> Found:
    """The part of all rows from the mark on that were found: up to the page's end and one more, or all there are."""
    more = len(rows) > part.end
    return Found(rows[part.skipped : part.end], more, None if more else len(rows))
