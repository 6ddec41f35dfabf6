"""The frame queries: page, one, headers' place, related, versions. Short SQL, no domain objects."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from msgspec import UNSET
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from application.permissions import Principal
from application.ports.sky import Sky
from domain.footprint import Footprint
from projections.frames.counts import Connection, Counts
from projections.frames.fetching import fetch
from projections.frames.keyset import Mark, Order, beyond, order_by, total
from projections.frames.rows import COLUMNS, FrameRow, Link, VersionRow, frame_row
from projections.frames.search import FrameSearch, Where, conditions, visible_to
from projections.frames.thumbnails import ThumbnailLink, thumbnails_of

Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]
NEWEST_FIRST: Order = (("observation_date", True),)
CANDIDATES = 400
"""Footprints tested at a time; a page of 100 that half of them match needs one fetch."""
EXACT_SECONDS = 5.0
"""How long footprints are tested for a count that somebody insists on (contracts: 1.7)."""


class Page(msgspec.Struct):
    """Rows of a page, whether there are more, and the count: exact, or an estimate, or 0 when nobody asked."""

    rows: list[FrameRow]
    more: bool
    count: int
    estimated: bool


class FrameQueries:
    """Answers from `read_frames`. Belongs to one event loop."""

    def __init__(self, pool: Pool, sky: Sky) -> None:
        self._pool = pool
        self._sky = sky
        self._counts = Counts()
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
        after: Mark | None = None,
        related: bool = True,
        thumbnails: ThumbnailLink | None = None,
        counted: bool = True,
        exact_count: bool = False,
    ) -> Page:
        """One page of the frames that the viewer may see and that have a version.

        It begins behind the mark `after`, a place in the order made total (keyset.total), where one is given; else at
        the offset. `thumbnails` makes their links, where they are wanted.
        """
        order = total(order)
        everything = conditions(search, viewer, now)
        everything.add("f.version_set <> ''")
        where = everything.copy()
        if after is not None:
            beyond(order, after, where)
            skipped = 0
        else:
            skipped = offset
        async with self._pool.connection() as connection:
            if search.geometric:
                rows, more, seen = await self._geometric(connection, search, where, order, limit, skipped)
            else:
                rows, more, seen = await self._plain(connection, where, order, limit, skipped)
            if seen is not None and after is None:
                count, estimated = seen, False
            elif not counted:
                count, estimated = 0, True
            elif exact_count:
                count, estimated = await self._exact_count(connection, search, everything)
            else:
                count, estimated = (offset + len(rows) + more if rows else 0), True
                if seen is None and not search.geometric:
                    count = max(count, await self._counts.likely(connection, everything, now))
            ids = [row[0] for row in rows]
            links = await self._related(connection, ids, viewer, now) if related else {}
            pictures = await thumbnails_of(connection, ids, thumbnails) if thumbnails else {}
        found = [
            frame_row(
                row,
                links.get(row[0], []) if related else None,
                link,
                pictures.get(row[0], []) if thumbnails else UNSET,
            )
            for row in rows
        ]
        return Page(found, more, count, estimated)

    async def one(
        self,
        frame_id: int,
        search: FrameSearch,
        viewer: Principal,
        now: datetime,
        link: Link,
        *,
        related: bool = True,
        thumbnails: ThumbnailLink | None = None,
    ) -> FrameRow | None:
        """One frame that the viewer may see; None otherwise."""
        where = conditions(search, viewer, now)
        where.add("f.id = %s", frame_id)
        async with self._pool.connection() as connection:
            rows = await fetch(connection, f"SELECT {COLUMNS} FROM read_frames.frame f {where.sql()}", where.parameters)
            rows = self._exactly(rows, search)
            if not rows:
                return None
            links = await self._related(connection, [frame_id], viewer, now) if related else {}
            pictures = (
                (await thumbnails_of(connection, [frame_id], thumbnails)).get(frame_id, []) if thumbnails else UNSET
            )
        return frame_row(rows[0], links.get(frame_id, []) if related else None, link, pictures)

    async def basenames(self, ids: Sequence[int]) -> dict[int, str]:
        """The names of the frames that have these ids, whoever may see them."""
        async with self._pool.connection() as connection:
            rows = await fetch(connection, "SELECT id, basename FROM read_frames.frame WHERE id = ANY(%s)", [list(ids)])
        return dict(rows)

    async def related_ids(self, frame_id: int, viewer: Principal, now: datetime) -> list[int]:
        """The ids of the related frames that the viewer may see."""
        async with self._pool.connection() as connection:
            return (await self._related(connection, [frame_id], viewer, now)).get(frame_id, [])

    async def linked(self, frame_id: int) -> list[str]:
        """The names of all frames that are linked to this one, whoever may see them."""
        async with self._pool.connection() as connection:
            rows = await fetch(
                connection,
                "SELECT f.basename FROM read_frames.link l JOIN read_frames.frame f ON f.id = l.other_id "
                "WHERE l.frame_id = %s",
                [frame_id],
            )
        return [name for (name,) in rows]

    async def by_basename(self, basename: str, viewer: Principal, now: datetime, link: Link) -> FrameRow | None:
        """The frame of this name, if the viewer may see it."""
        where = Where([], [])
        visible_to(viewer, now, where)
        where.add("f.basename = %s", basename)
        async with self._pool.connection() as connection:
            rows = await fetch(connection, f"SELECT {COLUMNS} FROM read_frames.frame f {where.sql()}", where.parameters)
            if not rows:
                return None
            links = await self._related(connection, [rows[0][0]], viewer, now)
        return frame_row(rows[0], links.get(rows[0][0], []), link)

    async def headers_at(self, frame_id: int, search: FrameSearch, viewer: Principal, now: datetime) -> int | None:
        """The position of the event that holds the newest headers of a frame that the viewer may see."""
        where = conditions(search, viewer, now)
        where.add("f.id = %s", frame_id)
        async with self._pool.connection() as connection:
            rows = await fetch(
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
            rows = await fetch(
                connection,
                f"SELECT {COLUMNS} FROM read_frames.frame f {where.sql()} ORDER BY f.id",
                where.parameters,
            )
            links = await self._related(connection, [row[0] for row in rows], viewer, now)
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
            rows = await fetch(
                connection,
                "SELECT v.id, v.key, v.md5, v.extension, v.created, f.basename FROM read_frames.version v "
                f"JOIN read_frames.frame f ON f.id = v.frame_id {where.sql()} ORDER BY v.id DESC LIMIT %s OFFSET %s",
                [*where.parameters, limit + 1, offset],
            )
            counted = offset + len(rows)
            if len(rows) > limit:
                ((counted,),) = await fetch(
                    connection, f"SELECT count(*) FROM read_frames.version v {where.sql()}", where.parameters
                )
        found = [
            VersionRow(id_, key, md5, extension, created, link(id_, basename + extension))
            for id_, key, md5, extension, created, basename in rows[:limit]
        ]
        return found, counted, len(rows) > limit

    async def stored_file(self, version_id: int) -> tuple[str, str, str, bool] | None:
        """Path, key, file name of a version, and whether its bytes were deleted from the server."""
        async with self._pool.connection() as connection:
            rows = await fetch(
                connection,
                "SELECT v.path, v.key, f.basename || v.extension, v.deleted FROM read_frames.version v "
                "JOIN read_frames.frame f ON f.id = v.frame_id WHERE v.id = %s",
                [version_id],
            )
        return rows[0] if rows else None

    async def _plain(
        self, connection: Connection, where: Where, order: Order, limit: int, skipped: int
    ) -> tuple[list[tuple[Any, ...]], bool, int | None]:
        """A page's rows, whether there are more, and the count when the last one was seen."""
        rows = await fetch(
            connection,
            # literals: with a parameter as limit the planner guesses a tenth of the table and sorts it
            f"SELECT {COLUMNS} FROM read_frames.frame f {where.sql()} {order_by(order)} "
            f"LIMIT {limit + 1} OFFSET {skipped}",
            where.parameters,
        )
        more = len(rows) > limit
        seen = skipped + len(rows) if not more and (rows or not skipped) else None
        return rows[:limit], more, seen

    async def _geometric(
        self, connection: Connection, search: FrameSearch, where: Where, order: Order, limit: int, skipped: int
    ) -> tuple[list[tuple[Any, ...]], bool, int | None]:
        """The same for a region: candidates in order, tested exactly until the page is full."""
        found: list[tuple[Any, ...]] = []
        end = skipped + limit
        async with aclosing(self._inside(connection, search, where, order_by(order))) as batches:
            async for rows in batches:
                found += rows
                if len(found) > end:
                    return found[skipped:end], True, None
        return found[skipped:end], False, len(found)

    async def _exact_count(self, connection: Connection, search: FrameSearch, where: Where) -> tuple[int, bool]:
        """The count, and whether it is only a lower bound, since testing all footprints took too long."""
        if not search.geometric:
            return await self._counts.exact(connection, where), False
        count = 0
        deadline = time.monotonic() + EXACT_SECONDS
        async with aclosing(self._inside(connection, search, where, "")) as batches:
            async for rows in batches:
                count += len(rows)
                if time.monotonic() > deadline:
                    return count, True
        return count, False

    async def _inside(
        self, connection: Connection, search: FrameSearch, where: Where, ordered: str
    ) -> AsyncGenerator[list[tuple[Any, ...]]]:
        """The rows whose footprints match, a batch at a time: candidates by cell keys, tested exactly."""
        where = where.copy()
        for region, relation in ((search.covers, "covers"), (search.intersects, "intersects")):
            if region is None:
                continue
            keys = self._sky.query_keys(region, relation)  # type: ignore[arg-type]
            if keys is None:
                return
            where.add("f.cells && %s::int[]", keys)
        async with connection.transaction(), connection.cursor(name="candidates", row_factory=tuple_row) as cursor:
            await cursor.execute(
                f"SELECT {COLUMNS} FROM read_frames.frame f {where.sql()} {ordered}".encode(), where.parameters
            )
            while rows := await cursor.fetchmany(CANDIDATES):
                yield self._exactly(rows, search)
                if len(rows) < CANDIDATES:
                    return

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
        connection: Connection,
        ids: Sequence[int],
        viewer: Principal,
        now: datetime,
    ) -> dict[int, list[int]]:
        """Related ids of each frame, only those that the viewer could open."""
        if not ids:
            return {}
        where = Where(["l.frame_id = ANY(%s)"], [list(ids)])
        visible_to(viewer, now, where)
        rows = await fetch(
            connection,
            "SELECT l.frame_id, array_agg(l.other_id ORDER BY l.other_id) FROM read_frames.link l "
            f"JOIN read_frames.frame f ON f.id = l.other_id {where.sql()} GROUP BY 1",
            where.parameters,
        )
        return dict(rows)
