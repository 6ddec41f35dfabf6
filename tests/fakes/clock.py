"""A clock that moves when a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class StillClock:
    """Implements Clock."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now

    def now(self) -> datetime:
        """See Clock.now."""
        return self._now

    def forward(self, **by: float) -> datetime:
        """Let time pass, in timedelta's words."""
        self._now += timedelta(**by)
        return self._now
