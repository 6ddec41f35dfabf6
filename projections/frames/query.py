"""The frame queries: page, one, headers' place, related, versions. Short SQL, no domain objects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from msgspec import UNSET
from psycopg_pool import AsyncConnectionPool

from application.permissions import Principal
from application.ports.sky import Sky
from projections.facets.query import FacetQueries
from projections.facets.tables import DIMENSIONS
from projections.frames.counts import Connection, Counts
from projections.frames.fetching import fetch
from projections.frames.keyset import Mark, Order, beyond, total
from projections.frames.pages import NEWEST_FIRST, Pages, Part
from projections.frames.related import related_of, related_to_arrival
from projections.frames.rows import COLUMNS, FrameRow, Link, VersionRow, frame_row, path_links
from projections.frames.search import FrameSearch, Where, conditions, visible_to
from projections.frames.thumbnails import ThumbnailLink, thumbnails_of

Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]
_DIMENSIONS = frozenset(DIMENSIONS)
DEEP = 2_000
"""From this offset on the facets say which days can be passed; before it, walking costs less than asking them."""
EXACT_SECONDS = 5.0
"""How long footprints are tested for a count that somebody insists on (contracts: 1.7)."""


class Page(msgspec.Struct):
    """Rows of a page, whether there are more, and the count: exact, or an estimate, or 0 when nobody asked."""

    rows: list[FrameRow]
    more: bool
    count: int
    estimated: bool


class FrameQueries:
    """Answers from `read_frames`. Belongs to one event loop.

    Without `facets` what stands before a great offset is walked through, not counted by days. With a `files_url` the
    links of versions lead to the files' paths below it, not where a given `link` leads.
    """

    def __init__(self, pool: Pool, sky: Sky, facets: FacetQueries | None, *, files_url: str = "") -> None:
        self._pool = pool
        self._facets = facets
        self._files_url = files_url
        self._counts = Counts()
        self._pages = Pages(sky)

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
        everything = await self._pages.conditions(self._pool, search, viewer, now)
        where = everything.copy()
        newest = await self._newest(search, viewer, now) if after is None and order == total(NEWEST_FIRST) else None
        if newest is not None:
            where.add("f.observation_date <= %s", newest)
        passed = 0
        if after is not None:
            beyond(order, after, where)
            skipped = 0
        else:
            if offset >= DEEP and order == total(NEWEST_FIRST):
                passed = await self._pass_days(search, viewer, now, where, offset)
            skipped = offset - passed
        async with self._pool.connection() as connection:
            part = Part(order, limit, skipped, after, newest)
            some = await self._pages.find(connection, search, viewer, now, where, part)
            rows, more = some.rows, some.more
            seen = None if some.seen is None else passed + some.seen
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
            links = await related_of(connection, ids, viewer, now) if related else {}
            pictures = await thumbnails_of(connection, ids, thumbnails) if thumbnails else {}
            link = await self._link(connection, ids, link)
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
            rows = self._pages.exactly(rows, search)
            if not rows:
                return None
            links = await related_of(connection, [frame_id], viewer, now) if related else {}
            pictures = (
                (await thumbnails_of(connection, [frame_id], thumbnails)).get(frame_id, []) if thumbnails else UNSET
            )
            link = await self._link(connection, [frame_id], link)
        return frame_row(rows[0], links.get(frame_id, []) if related else None, link, pictures)

    async def basenames(self, ids: Sequence[int]) -> dict[int, str]:
        """The names of the frames that have these ids, whoever may see them."""
        async with self._pool.connection() as connection:
            rows = await fetch(connection, "SELECT id, basename FROM read_frames.frame WHERE id = ANY(%s)", [list(ids)])
        return dict(rows)

    async def related_to_arrival(
        self, basename: str, names: Sequence[str], viewer: Principal, now: datetime
    ) -> list[int]:
        """The ids of the frames that one names which has just been archived, of those that the viewer may see."""
        others = [name for name in names if name != basename]
        if not others:
            return []
        async with self._pool.connection() as connection:
            return await related_to_arrival(connection, others, viewer, now)

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
            links = await related_of(connection, [rows[0][0]], viewer, now)
            link = await self._link(connection, [rows[0][0]], link)
        return frame_row(rows[0], links.get(rows[0][0], []), link)

    async def headers_at(self, frame_id: int, search: FrameSearch, viewer: Principal, now: datetime) -> int | None:
        """The position of the event that holds the newest headers of a frame that the viewer may see."""
        where = conditions(search, viewer, now)
        where.add("f.id = %s", frame_id)
        async with self._pool.connection() as connection:
            rows = await fetch(
                connection, f"SELECT {COLUMNS}, f.headers_at FROM read_frames.frame f {where.sql()}", where.parameters
            )
        rows = self._pages.exactly(rows, search)
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
            links = await related_of(connection, [row[0] for row in rows], viewer, now)
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
            rows = await fetch(
                connection,
                "SELECT v.id, v.key, v.md5, v.extension, v.created, f.basename, f.id FROM read_frames.version v "
                f"JOIN read_frames.frame f ON f.id = v.frame_id {where.sql()} ORDER BY v.id DESC LIMIT %s OFFSET %s",
                [*where.parameters, limit + 1, offset],
            )
            counted = offset + len(rows)
            if len(rows) > limit:
                ((counted,),) = await fetch(
                    connection, f"SELECT count(*) FROM read_frames.version v {where.sql()}", where.parameters
                )
            link = await self._link(connection, [row[6] for row in rows], link)
        found = [
            VersionRow(id_, key, md5, extension, created, link(id_, basename + extension))
            for id_, key, md5, extension, created, basename, _ in rows[:limit]
        ]
        return found, counted, len(rows) > limit

    async def _newest(self, search: FrameSearch, viewer: Principal, now: datetime) -> datetime | None:
        """From when on there is nothing for somebody who may not see all: a whole year, where frames become public a
        year after they came. None where no long walk is to be feared, or where nobody knows."""
        if self._facets is None or viewer.is_superuser or not search.broad or not search.equal.keys() <= _DIMENSIONS:
            return None
        return await self._facets.newest(search.equal, viewer, now)

    async def _pass_days(self, search: FrameSearch, viewer: Principal, now: datetime, where: Where, offset: int) -> int:
        """How many frames come before a later day, from which on it is enough to look; 0 for most kinds of searches."""
        simple = search.only("equal", "start", "public") and search.public is not False  # which leaves frames out
        if self._facets is None or not simple or not search.equal.keys() <= _DIMENSIONS:
            return 0
        skip = await self._facets.skip(offset, search.equal, viewer, now)
        if skip is None:
            return 0
        where.add("f.observation_date < %s", skip.before)
        return skip.passed

    async def _exact_count(self, connection: Connection, search: FrameSearch, where: Where) -> tuple[int, bool]:
        """The count, and whether it is only a lower bound, since testing all footprints took too long."""
        if not search.geometric:
            return await self._counts.exact(connection, where), False
        return await self._pages.count(connection, search, where, EXACT_SECONDS)

    async def _link(self, connection: Connection, frames: Sequence[int], link: Link) -> Link:
        """What links these frames' versions: as given, or to their paths below the files' own address."""
        if not self._files_url:
            return link
        rows = await fetch(
            connection, "SELECT id, path FROM read_frames.version WHERE frame_id = ANY(%s)", [list(frames)]
        )
        return path_links(self._files_url, dict(rows))
