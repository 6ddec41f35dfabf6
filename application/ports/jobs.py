"""Nudges to the workers. The events are the truth; a lost or doubled nudge does no harm."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol


class Jobs(Protocol):
    """Tells workers that a transfer may be due."""

    def nudge(self, transfers: Sequence[tuple[str, datetime | None]]) -> None:
        """Ask for each transfer to be looked at, now or at the time given (UTC)."""
        ...
