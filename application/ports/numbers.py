"""Integer ids of frames and versions: small, unique over all processes, carried in events so that they survive
rebuilds and imports."""

from __future__ import annotations

from typing import Protocol


class Numbers(Protocol):
    """Hands out ids. Gaps are fine; the same id is never given twice."""

    def take(self) -> int:
        """The next id. Raises RetryLater when the database can't be reached."""
        ...
