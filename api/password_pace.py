"""How fast passwords may be tried: a bounded rate for each username, and nobody is locked out."""

from __future__ import annotations

import time
from collections.abc import Callable

from domain.errors import Throttled

BURST = 20
SECONDS_A_TRY = 3.0
"""From one address for one username: 20 at once, then 20 a minute."""
BURST_ANYWHERE = 100
SECONDS_A_TRY_ANYWHERE = 0.5
"""From all addresses together for one username."""
MOST_KEPT = 100_000


class PasswordPace:
    """Counts wrong passwords; right ones cost nothing. Belongs to one event loop.

    Each API process has its own: more processes make guessing faster by no more than their number.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._free_at: dict[tuple[str, str], float] = {}
        """When the tries so far will have been worked off at the usual pace."""

    def check(self, username: str, address: str) -> None:
        """Raise Throttled when too many wrong passwords were tried lately."""
        now = self._now()
        for key, burst, seconds in _limits(username, address):
            owed = self._free_at.get(key, now) - now
            if owed > (burst - 1) * seconds:
                raise Throttled(owed - (burst - 1) * seconds)

    def wrong(self, username: str, address: str) -> None:
        """A wrong password was tried."""
        now = self._now()
        if len(self._free_at) > MOST_KEPT:
            self._free_at = {key: at for key, at in self._free_at.items() if at > now}
        for key, _, seconds in _limits(username, address):
            self._free_at[key] = max(now, self._free_at.get(key, now)) + seconds

    def right(self, username: str, address: str) -> None:
        """The password was right after all: that try doesn't count, nor do earlier ones from there."""
        self._free_at.pop((username, address), None)
        if (username, "") in self._free_at:
            self._free_at[username, ""] -= SECONDS_A_TRY_ANYWHERE


def _limits(username: str, address: str) -> tuple[tuple[tuple[str, str], int, float], ...]:
    return (
        ((username, address), BURST, SECONDS_A_TRY),
        ((username, ""), BURST_ANYWHERE, SECONDS_A_TRY_ANYWHERE),
    )
