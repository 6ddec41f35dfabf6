"""The thumbnail queries. A thumbnail is seen by those who see its frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from application.permissions import Principal
from projections.frames.fetching import fetch
from projections.frames.search import Where, visible_to

ThumbnailLink = Callable[[int, str], str]
"""Makes the download link of a thumbnail from its id and file name."""

EQUALITIES = {
    "frame_basename": "f.basename",
    "proposal_id": "f.proposal_id",
    "observation_id": "f.observation_id",
    "request_id": "f.request_id",
    "size": "t.size",
}
_COLUMNS = "t.id, t.frame_id, t.size, t.basename, t.extension, t.key"
_FROM = "FROM read_frames.thumbnail t JOIN read_frames.frame f ON f.id = t.frame_id"


class ThumbnailRow(msgspec.Struct):
    """A thumbnail as clients see it, in the order of the contract."""

    id: int
    frame: int
    size: str
    basename: str
    extension: str
    key: str
    url: str


class ThumbnailPage(msgspec.Struct):
    """Rows of a page, whether there are more, and the count: exact, or an estimate."""

    rows: list[ThumbnailRow]
    more: bool
    count: int
    estimated: bool


class ThumbnailQueries:
    """Answers from `read_frames`. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool

    async def page(
        self,
        equal: Mapping[str, Any],
        viewer: Principal,
        now: datetime,
        link: ThumbnailLink,
        *,
        limit: int = 100,
        offset: int = 0,
        after: int | None = None,
        exact_count: bool = False,
    ) -> ThumbnailPage:
        """One page in the order of ids; from `after` on where it is given, else from the offset."""
        where = _where(equal, viewer, now)
        everything = where.copy()
        if after is not None:
            where.add("t.id > %s", after)
        skipped = 0 if after is not None else offset
        async with self._pool.connection() as connection:
            rows = await fetch(
                connection,
                f"SELECT {_COLUMNS} {_FROM} {where.sql()} ORDER BY t.id LIMIT {limit + 1} OFFSET {skipped}",
                where.parameters,
            )
            more = len(rows) > limit
            del rows[limit:]
            count, estimated = offset + len(rows), after is not None
            if more or (not rows and offset) or (estimated and exact_count):
                estimated = not exact_count
                count = max(count + more if rows else 0, await _count(connection, everything, exact=exact_count))
        return ThumbnailPage([_row(row, link) for row in rows], more, count, estimated)

    async def one(
        self, thumbnail_id: int, equal: Mapping[str, Any], viewer: Principal, now: datetime, link: ThumbnailLink
    ) -> ThumbnailRow | None:
        """One thumbnail that the viewer may see; None otherwise."""
        where = _where(equal, viewer, now)
        where.add("t.id = %s", thumbnail_id)
        async with self._pool.connection() as connection:
            rows = await fetch(connection, f"SELECT {_COLUMNS} {_FROM} {where.sql()}", where.parameters)
        return _row(rows[0], link) if rows else None

    async def stored_file(self, thumbnail_id: int) -> tuple[str, str, str] | None:
        """Path, key and file name of a thumbnail."""
        async with self._pool.connection() as connection:
            rows = await fetch(
                connection,
                "SELECT path, key, basename || extension FROM read_frames.thumbnail WHERE id = %s",
                [thumbnail_id],
            )
        return rows[0] if rows else None


async def thumbnails_of(
    connection: psycopg.AsyncConnection[tuple[Any, ...]], frames: Sequence[int], link: ThumbnailLink
) -> dict[int, list[ThumbnailRow]]:
    """The thumbnails of each of these frames, all of which the viewer may see."""
    if not frames:
        return {}
    rows = await fetch(
        connection,
        f"SELECT {_COLUMNS} FROM read_frames.thumbnail t WHERE t.frame_id = ANY(%s) ORDER BY t.id",
        [list(frames)],
    )
    found: dict[int, list[ThumbnailRow]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(_row(row, link))
    return found


def _where(equal: Mapping[str, Any], viewer: Principal, now: datetime) -> Where:
    where = Where([], [])
    visible_to(viewer, now, where)
    for name, value in equal.items():
        where.add(f"{EQUALITIES[name]} = %s", value)
    return where


def _row(row: tuple[Any, ...], link: ThumbnailLink) -> ThumbnailRow:
    id_, frame, size, basename, extension, key = row
    return ThumbnailRow(id_, frame, size, basename, extension, key, link(id_, basename + extension))


async def _count(connection: psycopg.AsyncConnection[tuple[Any, ...]], where: Where, *, exact: bool) -> int:
    if exact:
        ((count,),) = await fetch(connection, f"SELECT count(*) {_FROM} {where.sql()}", where.parameters)
        return int(count)
    statement = f"EXPLAIN (FORMAT JSON) SELECT 1 {_FROM} {where.sql()}"
    ((plan,),) = await fetch(connection, statement, where.parameters)
    return int(plan[0]["Plan"]["Plan Rows"])
