"""Rates as an operator writes them: `1000/day`."""

from __future__ import annotations

import re

import msgspec

PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile("([1-9][0-9]{0,8})/(s|sec|second|m|min|minute|h|hour|d|day)")


class Rate(msgspec.Struct, frozen=True):
    """So many requests in a period of so many seconds."""

    requests: int
    seconds: int

    def __str__(self) -> str:
        period = next(name for name, seconds in PERIODS.items() if seconds == self.seconds)
        return f"{self.requests}/{period}"


def parse_rate(text: str) -> Rate | None:
    """`N/second`, `N/minute`, `N/hour`, `N/day`; None for `off`. Raises ValueError."""
    if text.strip().lower() == "off":
        return None
    match = _RATE.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(text)
    seconds = next(seconds for name, seconds in PERIODS.items() if name[0] == match[2][0])
    return Rate(int(match[1]), seconds)
