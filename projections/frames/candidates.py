"""Which frames a sky search has to look at: what finds them by their cells.

The planner takes any two dozen cells for a tenth of the archive, and would walk all of it in the wanted order. It
guesses a hundredth where it doesn't see the cells, which is right for a small region; and behind OFFSET 0 it can't hope
that the order will spare it something. For a wide region the walk is the better way: its page is soon full.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from application.ports.sky import Relation, Sky
from projections.frames.fetching import numbers
from projections.frames.search import FrameSearch, Where

WIDE = 0.01
"""Of the sky: a walk in the wanted order soon fills a page of a region so large."""


class Candidates(msgspec.Struct, frozen=True):
    """What may match, as the source f of a statement, and its parameters."""

    source: str
    parameters: list[Any]


def candidates(sky: Sky, search: FrameSearch, where: Where) -> Candidates:
    """What may match the search's regions, of what meets the conditions."""
    where, narrow = where.copy(), False
    for region, relation in ((search.covers, "covers"), (search.intersects, "intersects")):
        if region is None:
            continue
        keys = sky.query_keys(region, cast(Relation, relation))
        if keys is None:
            where.add("false")
        elif sky.share(keys) >= WIDE:
            where.add("f.cells && %s::int[]", numbers(keys))
        else:
            where.add("f.cells && (SELECT %s::int[])", numbers(keys))
            narrow = True
    source = f"read_frames.frame f {where.sql()}"
    return Candidates(f"(SELECT * FROM {source} OFFSET 0) f" if narrow else source, where.parameters)
