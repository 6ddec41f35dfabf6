"""Nudges to the workers. The events are the truth; a lost or doubled nudge does no harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

NONE_KNOWN: Mapping[str, int] = MappingProxyType({})


class Jobs(Protocol):
    """Tells workers that a transfer may be due."""

    def nudge(self, transfers: Sequence[tuple[str, datetime | None]], sizes: Mapping[str, int] = NONE_KNOWN) -> None:
        """Ask for each transfer to be looked at, now or at the time given (UTC). `sizes` are the bytes of those of
        which that is known; files that are small together are carried so."""
        ...
