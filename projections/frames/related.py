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
    connection: Connection, names: Sequence[str], viewer: Principal, now: datetime
) -> list[int]:
    """Ids of the frames that an arrival names, of those that are there and that the viewer could open. Frames that name
    the arrival aren't looked for: that made each ingest half as fast."""
    where = Where(["f.basename = ANY(%s)"], [list(names)])
    visible_to(viewer, now, where)
    rows = await fetch(
        connection, f"SELECT f.id FROM read_frames.frame f {where.sql()} ORDER BY f.id", where.parameters
    )
    return [number for (number,) in rows]
