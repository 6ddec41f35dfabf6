"""How many frames a search finds: counted, or as the planner guesses."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import psycopg

from projections.frames.fetching import fetch
from projections.frames.search import Where

REMEMBERED_SECONDS = 10.0
"""How long an estimated count is good for: it is an estimate anyway, and asking the planner costs a round trip."""

COUNTED = 1000
"""Where the planner expects fewer rows a count costs next to nothing, and a small archive isn't told nonsense. It is
marked as an estimate all the same: clients of the original expect the mark on these queries."""

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class Counts:
    """Counts rows of `read_frames.frame f`. Belongs to one event loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[float, int]] = {}

    async def exact(self, connection: Connection, where: Where) -> int:
        """All of them."""
        ((count,),) = await fetch(
            connection, f"SELECT count(*) FROM read_frames.frame f {where.sql()}", where.parameters
        )
        return int(count)

    async def likely(self, connection: Connection, where: Where, now: datetime) -> int:
        """About how many there are; right when they are few. `now` is a parameter that makes no other question."""
        guess = await self._guess(connection, where, now)
        if guess >= COUNTED:
            return guess
        ((count,),) = await fetch(
            connection,
            f"SELECT count(*) FROM (SELECT 1 FROM read_frames.frame f {where.sql()} LIMIT {10 * COUNTED}) few",
            where.parameters,
        )
        return max(guess if count == 10 * COUNTED else 0, int(count))

    async def _guess(self, connection: Connection, where: Where, now: datetime) -> int:
        """The planner's; the same question isn't asked again for a while."""
        key = (where.sql(), repr([value for value in where.parameters if value is not now]))
        known = self._known.get(key)
        if known is None or known[0] < time.monotonic():
            if len(self._known) > 1000:
                self._known.clear()
            ((plan,),) = await fetch(
                connection, f"EXPLAIN (FORMAT JSON) SELECT 1 FROM read_frames.frame f {where.sql()}", where.parameters
            )
            known = (time.monotonic() + REMEMBERED_SECONDS, int(plan[0]["Plan"]["Plan Rows"]))
            self._known[key] = known
        return known[1]
