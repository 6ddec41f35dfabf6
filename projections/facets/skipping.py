"""How far into a list the frames of the newest days reach: so that a deep page needn't walk through all before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from projections.facets.columns import Bools, FacetColumns, Numbers

Counting = Callable[[Numbers], Awaitable[dict[int, int]]]
"""Counts the public frames of facets one by one, by index."""
MOST_COUNTED = 2_000
"""Facets of which some frames are public and some aren't: normally those of one night, a year ago."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Skip(NamedTuple):
    """All frames observed at `before` or later, `passed` of them, come before the place that is looked for."""

    before: datetime
    passed: int


async def skip(
    columns: FacetColumns, rows: Numbers, own: Bools, now: int, offset: int, counting: Counting
) -> Skip | None:
    """The longest skip of whole days that stays within `offset`, over these facets; None where there is none.

    `own` says of which facets the viewer may see all; of others what was public before `now`.
    """
    counts = np.where(own | (columns.public_to[rows] < now), columns.frames[rows], 0)
    partly = np.flatnonzero(~own & (columns.public_from[rows] < now) & (columns.public_to[rows] >= now))
    if len(partly) > MOST_COUNTED:
        return None
    if len(partly):
        known = await counting(rows[partly])
        counts[partly] = [known.get(index, 0) for index in rows[partly].tolist()]
    days = columns.days[rows]
    if not len(days):
        return None
    latest = int(days.max())
    passed = np.cumsum(np.bincount(latest - days, counts)).astype(np.int64)  # up to and with each day, newest first
    whole = int(np.searchsorted(passed, offset, side="right"))
    if not whole:
        return None
    return Skip(_EPOCH + timedelta(days=latest - whole + 1), int(passed[whole - 1]))
