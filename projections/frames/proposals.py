"""The proposals of all frames."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

CACHE_SECONDS = 30.0

_DISTINCT = """
WITH RECURSIVE found(proposal_id) AS (
    (SELECT proposal_id FROM read_frames.frame WHERE proposal_id > '' ORDER BY proposal_id LIMIT 1)
    UNION ALL
    SELECT (SELECT f.proposal_id FROM read_frames.frame f WHERE f.proposal_id > found.proposal_id
            ORDER BY f.proposal_id LIMIT 1)
    FROM found WHERE found.proposal_id IS NOT NULL
)
SELECT proposal_id FROM found WHERE proposal_id IS NOT NULL
"""
"""From one proposal to the next in the index: as many steps as there are proposals, however many frames they have."""


class ProposalQueries:
    """Answers from `read_frames`. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool
        self._known: tuple[float, list[str]] = (0.0, [])

    async def all(self) -> list[str]:
        """All proposals that have frames, as of half a minute ago at most."""
        if self._known[0] <= time.monotonic():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(_DISTINCT.encode())
                rows = await cursor.fetchall()
            self._known = (time.monotonic() + CACHE_SECONDS, [row[0] for row in rows])
        return self._known[1]
