"""Which frames are related to which, of those that somebody may see."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from application.permissions import Principal
from projections.frames.counts import Connection
from projections.frames.fetching import fetch, numbers
from projections.frames.search import Where, visible_to


async def related_of(
    connection: Connection, ids: Sequence[int], viewer: Principal, now: datetime
) -> dict[int, list[int]]:
    """Related ids of each frame, only those that the viewer could open."""
    if not ids:
        return {}
    where = Where(["l.frame_id = ANY(%s::int[])"], [numbers(ids)])
    visible_to(viewer, now, where)
    rows = await fetch(
        connection,
        "SELECT l.frame_id, array_agg(l.other_id ORDER BY l.other_id) FROM read_frames.link l "
        f"JOIN read_frames.frame f ON f.id = l.other_id {where.sql()} GROUP BY 1",
        where.parameters,
    )
    return dict(rows)


async def related_to_arrival(
    connection: Connection, basename: str, names: Sequence[str], viewer: Principal, now: datetime
) -> list[int]:
    """The same for a frame that was archived a moment ago and may not be in the read model yet: the frames that it
    names, and those that name it."""
    where = Where(
        [
            "f.id IN (SELECT id FROM read_frames.frame WHERE basename = ANY(%s) UNION "
            "SELECT frame_id FROM read_frames.waiting WHERE basename = %s UNION SELECT other_id FROM read_frames.link "
            "WHERE frame_id = (SELECT id FROM read_frames.frame WHERE basename = %s))"
        ],
        [[name for name in names if name != basename], basename, basename],
    )
    visible_to(viewer, now, where)
    rows = await fetch(
        connection, f"SELECT f.id FROM read_frames.frame f {where.sql()} ORDER BY f.id", where.parameters
    )
    return [number for (number,) in rows]
