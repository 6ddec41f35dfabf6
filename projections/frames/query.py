"""The frame queries: page, one, headers' place, related, versions. Short SQL, no domain objects."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from application.permissions import Principal
from application.ports.sky import Sky
from domain.footprint import Footprint
from projections.frames.rows import COLUMNS, FrameRow, Link, VersionRow, frame_row, path_links
from projections.frames.search import FrameSearch, Where, conditions, visible_to

Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]
Order = tuple[tuple[str, bool], ...]
NEWEST_FIRST: Order = (("observation_date", True),)
CANDIDATES = 400
"""Footprints tested at a time; a page of 100 that half of them match needs one fetch."""
COUNT_SECONDS = 10.0
"""How long an estimated count is good for: it is an estimate anyway, and asking the planner costs a round trip."""


COUNTED = 1000
"""Where the planner expects fewer rows a count costs next to nothing, and a small archive isn't told nonsense. It is
marked as an estimate all the same: clients of the original expect the mark on these queries."""


class Page(msgspec.Struct):
    """Rows of a page, whether there are more, and the count: exact, or an estimate."""

    rows: list[FrameRow]
    more: bool
    count: int
    estimated: bool


class FrameQueries:
    """Answers from `read_frames`. Belongs to one event loop.

    With a `files_url` the links of versions lead to the files' paths below it, not where a given `link` leads.
    """

    def __init__(self, pool: Pool, sky: Sky, *, files_url: str = "") -> None:
        self._pool = pool
        self._files_url = files_url
        self._sky = sky
        self._counts: dict[tuple[str, str], tuple[float, int]] = {}
        self._footprint = msgspec.json.Decoder(Footprint)

    async def page(
        self,
        search: FrameSearch,
        viewer: Principal,
        now: datetime,
        link: Link,
        *,
        order: Order = NEWEST_FIRST,
        limit: int = 100,
        offset: int = 0,
        related: bool = True,
        exact_count: bool = False,
    ) -> Page:
        """One page of the frames that the viewer may see and that have a version."""
        where = conditions(search, viewer, now)
        where.add("f.version_set <> ''")
        async with self._pool.connection() as connection:
            if search.geometric:
                rows, more, count = await self._geometric(connection, search, where, order, limit, offset)
                estimated = count is None
                total = offset + len(rows) + more if count is None else count
            else:
                rows = await _fetch(
                    connection,
                    # literals: with a parameter as limit the planner guesses a tenth of the table and sorts it
                    f"SELECT {COLUMNS} FROM read_frames.frame f {where.sql()} {_order_by(order)} "
                    f"LIMIT {limit + 1} OFFSET {offset}",
                    where.parameters,
                )
                more = len(rows) > limit
                del rows[limit:]
                total, estimated = await self._count(connection, where, now, offset, len(rows), more, exact_count)
            links = await self._related(connection, [row[0] for row in rows], viewer, now) if related else {}
            link = await self._link(connection, [row[0] for row in rows], link)
        return Page(
            [frame_row(row, links.get(row[0], []) if related else None, link) for row in rows], more, total, estimated
        )

    async def one(
        self, frame_id: int, search: FrameSearch, viewer: Principal, now: datetime, link: Link, *, related: bool = True
    ) -> FrameRow | None:
        """One frame that the viewer may see; None otherwise."""
        where = conditions(search, viewer, now)
        where.add("f.id = %s", frame_id)
        async with self._pool.connection() as connection:
            rows = await _fetch(
                connection, f"SELECT {COLUMNS} FROM read_frames.frame f {where.sql()}", where.parameters
            )
            rows = self._exactly(rows, search)
            if not rows:
                return None
            links = await self._related(connection, [frame_id], viewer, now) if related else {}
            link = await self._link(connection, [frame_id], link)
        return frame_row(rows[0], links.get(frame_id, []) if related else None, link)

    async def by_basename(self, basename: str, viewer: Principal, now: datetime, link: Link) -> FrameRow | None:
        """The frame of this name, if the viewer may see it."""
        where = Where([], [])
        visible_to(viewer, now, where)
        where.add("f.basename = %s", basename)
        async with self._pool.connection() as connection:
            rows = await _fetch(
                connection, f"SELECT {COLUMNS} FROM read_frames.frame f {where.sql()}", where.parameters
            )
            if not rows:
                return None
            links = await self._related(connection, [rows[0][0]], viewer, now)
            link = await self._link(connection, [rows[0][0]], link)
        return frame_row(rows[0], links.get(rows[0][0], []), link)

    async def headers_at(self, frame_id: int, search: FrameSearch, viewer: Principal, now: datetime) -> int | None:
        """The position of the event that holds the newest headers of a frame that the viewer may see."""
        where = conditions(search, viewer, now)
        where.add("f.id = %s", frame_id)
        async with self._pool.connection() as connection:
            rows = await _fetch(
                connection, f"SELECT {COLUMNS}, f.headers_at FROM read_frames.frame f {where.sql()}", where.parameters
            )
        rows = self._exactly(rows, search)
        return rows[0][-1] if rows else None

    async def related_frames(self, frame_id: int, viewer: Principal, now: datetime, link: Link) -> list[FrameRow]:
        """The related frames that the viewer may see."""
        where = Where([], [])
        visible_to(viewer, now, where)
        where.add("f.id IN (SELECT other_id FROM read_frames.link WHERE frame_id = %s)", frame_id)
        async with self._pool.connection() as connection:
            rows = await _fetch(
                connection,
                f"SELECT {COLUMNS} FROM read_frames.frame f {where.sql()} ORDER BY f.id",
                where.parameters,
            )
            links = await self._related(connection, [row[0] for row in rows], viewer, now)
            link = await self._link(connection, [row[0] for row in rows], link)
        return [frame_row(row, links.get(row[0], []), link) for row in rows]

    async def versions(
        self, link: Link, *, md5: str | None = None, version_id: int | None = None, limit: int = 100, offset: int = 0
    ) -> tuple[list[VersionRow], int, bool]:
        """Versions newest first, their exact count, and whether there are more."""
        where = Where([], [])
        if md5 is not None:
            where.add("v.md5 = %s", md5)
        if version_id is not None:
            where.add("v.id = %s", version_id)
        async with self._pool.connection() as connection:
            rows = await _fetch(
                connection,
                "SELECT v.id, v.key, v.md5, v.extension, v.created, f.basename, f.id FROM read_frames.version v "
                f"JOIN read_frames.frame f ON f.id = v.frame_id {where.sql()} ORDER BY v.id DESC LIMIT %s OFFSET %s",
                [*where.parameters, limit + 1, offset],
            )
            counted = offset + len(rows)
            if len(rows) > limit:
                ((counted,),) = await _fetch(
                    connection, f"SELECT count(*) FROM read_frames.version v {where.sql()}", where.parameters
                )
            link = await self._link(connection, [row[6] for row in rows], link)
        found = [
            VersionRow(id_, key, md5, extension, created, link(id_, basename + extension))
            for id_, key, md5, extension, created, basename, _ in rows[:limit]
        ]
        return found, counted, len(rows) > limit

    async def _geometric(
        self,
        connection: psycopg.AsyncConnection[tuple[Any, ...]],
        search: FrameSearch,
        where: Where,
        order: Order,
        limit: int,
        offset: int,
    ) -> tuple[list[tuple[Any, ...]], bool, int | None]:
        """Candidates by cell keys, in order, tested exactly until the page is full; the count when all were seen."""
        for region, relation in ((search.covers, "covers"), (search.intersects, "intersects")):
            if region is None:
                continue
            keys = self._sky.query_keys(region, relation)  # type: ignore[arg-type]
            if keys is None:
                return [], False, 0
            where.add("f.cells && %s::int[]", keys)
        found: list[tuple[Any, ...]] = []
        needed = offset + limit + 1
        async with connection.transaction(), connection.cursor(name="candidates", row_factory=tuple_row) as cursor:
            await cursor.execute(
                f"SELECT {COLUMNS} FROM read_frames.frame f {where.sql()} {_order_by(order)}".encode(),
                where.parameters,
            )
            while len(found) < needed:
                rows = await cursor.fetchmany(CANDIDATES)
                found += self._exactly(rows, search)
                if len(rows) < CANDIDATES:
                    return found[offset : offset + limit], len(found) > offset + limit, len(found)
        return found[offset : offset + limit], len(found) > offset + limit, None

    def _exactly(self, rows: list[tuple[Any, ...]], search: FrameSearch) -> list[tuple[Any, ...]]:
        for region, test in ((search.covers, self._sky.covers_many), (search.intersects, self._sky.intersects_many)):
            if region is None:
                continue
            rows = [row for row in rows if row[16] is not None]
            hits = test([self._footprint.decode(row[16]) for row in rows], region)
            rows = [row for row, hit in zip(rows, hits, strict=True) if hit]
        return rows

    async def _related(
        self,
        connection: psycopg.AsyncConnection[tuple[Any, ...]],
        ids: Sequence[int],
        viewer: Principal,
        now: datetime,
    ) -> dict[int, list[int]]:
        """Related ids of each frame, only those that the viewer could open."""
        if not ids:
            return {}
        where = Where(["l.frame_id = ANY(%s)"], [list(ids)])
        visible_to(viewer, now, where)
        rows = await _fetch(
            connection,
            "SELECT l.frame_id, array_agg(l.other_id ORDER BY l.other_id) FROM read_frames.link l "
            f"JOIN read_frames.frame f ON f.id = l.other_id {where.sql()} GROUP BY 1",
            where.parameters,
        )
        return dict(rows)

    async def _link(
        self, connection: psycopg.AsyncConnection[tuple[Any, ...]], frames: Sequence[int], link: Link
    ) -> Link:
        """What links these frames' versions: as given, or to their paths below the files' own address."""
        if not self._files_url:
            return link
        rows = await _fetch(
            connection, "SELECT id, path FROM read_frames.version WHERE frame_id = ANY(%s)", [list(frames)]
        )
        return path_links(self._files_url, dict(rows))

    async def _count(
        self,
        connection: psycopg.AsyncConnection[tuple[Any, ...]],
        where: Where,
        now: datetime,
        offset: int,
        found: int,
        more: bool,
        exact: bool,
    ) -> tuple[int, bool]:
        if not more and (found or not offset):
            return offset + found, False
        if exact:
            ((count,),) = await _fetch(
                connection, f"SELECT count(*) FROM read_frames.frame f {where.sql()}", where.parameters
            )
            return count, False
        estimate = await self._estimate(connection, where, now)
        if estimate < COUNTED:
            ((count,),) = await _fetch(
                connection,
                f"SELECT count(*) FROM (SELECT 1 FROM read_frames.frame f {where.sql()} LIMIT {10 * COUNTED}) few",
                where.parameters,
            )
            estimate = max(estimate if count == 10 * COUNTED else 0, count)
        least = offset + found + more if found else 0
        return max(least, estimate), True

    async def _estimate(self, connection: psycopg.AsyncConnection[tuple[Any, ...]], where: Where, now: datetime) -> int:
        """The planner's guess; the same question isn't asked again for a while."""
        key = (where.sql(), repr([value for value in where.parameters if value is not now]))
        known = self._counts.get(key)
        if known is None or known[0] < time.monotonic():
            if len(self._counts) > 1000:
                self._counts.clear()
            ((plan,),) = await _fetch(
                connection, f"EXPLAIN (FORMAT JSON) SELECT 1 FROM read_frames.frame f {where.sql()}", where.parameters
            )
            known = (time.monotonic() + COUNT_SECONDS, int(plan[0]["Plan"]["Plan Rows"]))
            self._counts[key] = known
        return known[1]


def _order_by(order: Order) -> str:
    """The order wanted, made total by id, so that no row repeats or vanishes between pages."""
    terms = [f"f.{column}{' DESC' if descending else ''}" for column, descending in order if column != "id"]
    by_id = next((descending for column, descending in order if column == "id"), order[-1][1] if order else True)
    return f"ORDER BY {', '.join([*terms, 'f.id DESC' if by_id else 'f.id'])}"


async def _fetch(
    connection: psycopg.AsyncConnection[tuple[Any, ...]], statement: str, parameters: Sequence[Any]
) -> list[tuple[Any, ...]]:
    cursor = connection.cursor(binary=True, row_factory=tuple_row)
    await cursor.execute(statement.encode(), parameters)
    return await cursor.fetchall()
