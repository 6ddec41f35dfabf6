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
from projections.frames.months import Window
from projections.frames.search import FrameSearch, Where

WIDE = 0.01
"""Of the sky: a walk in the wanted order soon fills a page of a region so large."""
MANY = 0.0003
"""Of the sky, 12 square degrees: so large a region has more frames than a page, in an archive that isn't small."""


class Candidates(msgspec.Struct, frozen=True):
    """What may match, and how much of the sky was asked for."""

    where: Where
    share: float

    @property
    def many(self) -> bool:
        """Whether there are too many to look at all, but not so many that a walk in the wanted order is better."""
        return MANY <= self.share < WIDE

    @property
    def source(self) -> str:
        """As the source f of a statement."""
        source = f"read_frames.frame f {self.where.sql()}"
        return source if self.share >= WIDE else f"(SELECT * FROM {source} OFFSET 0) f"

    @property
    def parameters(self) -> list[Any]:
        """Those of the source."""
        return self.where.parameters

    def within(self, window: Window) -> Candidates:
        """Those of a window of time."""
        where = self.where.copy()
        window.narrow(where, "cells")
        return Candidates(where, self.share)


def candidates(sky: Sky, search: FrameSearch, where: Where) -> Candidates:
    """What may match the search's regions, of what meets the conditions."""
    where, share = where.copy(), 1.0
    for region, relation in ((search.covers, "covers"), (search.intersects, "intersects")):
        if region is None:
            continue
        keys = sky.query_keys(region, cast(Relation, relation))
        if keys is None:
            where.add("false")
            share = 0.0
            continue
        asked = sky.share(keys)
        share = min(share, asked)
        where.add("f.cells && %s::int[]" if asked >= WIDE else "f.cells && (SELECT %s::int[])", numbers(keys))
    return Candidates(where, share)
