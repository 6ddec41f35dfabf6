"""The machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """Tells the machine's time (implements application.ports.clock.Clock)."""

    def now(self) -> datetime:
        """The present instant: aware, UTC, microseconds."""
        return datetime.now(UTC)
