"""A page of the newest frames whose texts hold something common, found by walking through the newest frames.

The index of trigrams gives all matches in no order, to be sorted: ten thousands, where the target is a survey's. The
planner can't know, for it multiplies the trigrams' frequencies as if they had nothing to do with each other. So the
newest frames are looked at first; if the text is common among them, the page is soon full.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from projections.frames.fetching import fetch
from projections.frames.keyset import Order, order_by
from projections.frames.rows import COLUMNS
from projections.frames.search import Where

FIRST = 1500
"""Frames looked at in any case, in less than a millisecond (`tests.benchmarks`, contains)."""
LONGEST = 35_000
"""Frames walked through at most."""
EVERYWHERE = 0.1
"""Of the archive: what may be as common is walked for; what isn't is found sooner month by month (`months`)."""
COMMON = 0.007
"""Of the archive: what is rarer is found sooner all at once."""


async def walk(
    connection: psycopg.AsyncConnection[tuple[Any, ...]],
    where: Where,
    order: Order,
    wanted: int,
    newest: datetime | None = None,
) -> list[tuple[Any, ...]] | None:
    """The first `wanted` rows that meet the conditions, in an order of the newest first; None where they are too
    rare. Where it is known that there is none after `newest`, the walk begins there.

    The conditions shouldn't be those for an index, which only cost time here.
    """
    looked_at = FIRST
    begin, parameters = "f.observation_date IS NOT NULL", where.parameters
    if newest is not None:
        begin, parameters = "f.observation_date <= %s", [newest, *where.parameters]
    while True:
        rows = await fetch(
            connection,
            f"SELECT {COLUMNS} FROM (SELECT * FROM read_frames.frame f WHERE {begin} "
            f"{order_by(order)} LIMIT {looked_at}) f {where.sql()} {order_by(order)} LIMIT {wanted}",
            parameters,
        )
        if len(rows) >= wanted:
            return rows
        further = 2 * FIRST * wanted // max(1, len(rows))
        if looked_at > FIRST or further > LONGEST:
            return None
        looked_at = further
