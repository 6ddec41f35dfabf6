"""Which frames a sky search has to look at: the statement that finds them by their cells.

The planner takes any two dozen cells for a tenth of the archive, and would walk all of it in the wanted order. It
guesses a hundredth where it doesn't see the cells, which is right for a small region; and behind OFFSET 0 it can't hope
that the order will spare it something. For a wide region the walk is the better way: its page is soon full.
"""

from __future__ import annotations

from application.ports.sky import Sky
from projections.frames.rows import COLUMNS
from projections.frames.search import FrameSearch, Where


def candidates(sky: Sky, search: FrameSearch, where: Where) -> tuple[str, list[object]]:
    """A statement, to be ordered and limited, that gives COLUMNS of what may match, and its parameters."""
    where = where.copy()
    narrow = False
    for region, relation in ((search.covers, "covers"), (search.intersects, "intersects")):
        if region is None:
            continue
        keys = sky.query_keys(region, relation)  # type: ignore[arg-type]
        if keys is None:
            where.add("false")
        elif sky.wide(keys):
            where.add("f.cells && %s::int[]", keys)
        else:
            where.add("f.cells && (SELECT %s::int[])", keys)
            narrow = True
    source = f"(SELECT * FROM read_frames.frame f {where.sql()} OFFSET 0) f"
    if narrow:
        return f"SELECT {COLUMNS} FROM {source}", where.parameters
    return f"SELECT {COLUMNS} FROM read_frames.frame f {where.sql()}", where.parameters
