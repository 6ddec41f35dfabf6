"""How common each trigram is, as the database has sampled it: a few rare ones find what all of them would."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg

from projections.frames.fetching import fetch

GOOD_SECONDS = 600.0
ENOUGH = 3
"""Rarest trigrams that are looked for. With all nine of an instrument and a day a search took five times as long, most
of it in the long lists of those that nearly every name has; what three let through is told apart by its text."""

_SAMPLED = (
    "SELECT most_common_elems::text::int[], most_common_elem_freqs FROM pg_stats "
    "WHERE schemaname = 'read_frames' AND tablename = 'frame' AND attname = 'grams'"
)


class GramFrequencies:
    """The shares of frames that have each of the commonest trigrams. Belongs to one event loop."""

    def __init__(self) -> None:
        self._shares: dict[int, float] = {}
        self._good_until = 0.0

    async def learn(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        """Look the shares up, if that is long ago."""
        if time.monotonic() < self._good_until:
            return
        rows = await fetch(connection, _SAMPLED, ())
        self._shares = dict(zip(rows[0][0] or (), rows[0][1] or (), strict=False)) if rows else {}
        self._good_until = time.monotonic() + GOOD_SECONDS

    def rarest(self, grams: Sequence[int]) -> list[int]:
        """The few to look for. One that isn't known is rarer than all that are."""
        return sorted(sorted(grams, key=lambda gram: self._shares.get(gram, 0.0))[:ENOUGH])

    def at_most(self, grams: Sequence[int]) -> float:
        """A share of the frames that those which have all of these don't exceed; 1 where nothing is known."""
        return min((self._shares.get(gram, 0.0) for gram in grams), default=1.0) if self._shares else 1.0
