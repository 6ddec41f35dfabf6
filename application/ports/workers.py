"""Which workers are alive: a worker that dies, or loses the database, is known to be gone at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Workers(Protocol):
    """Tells the living from the dead."""

    def gone(self, workers: Sequence[str]) -> frozenset[str]:
        """Those of the named workers that no longer run."""
        ...
