"""How many transfers a destination gets at a time, and how fast: over all workers on all hosts (S59)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Berth(msgspec.Struct, frozen=True):
    """A place for one running transfer. `slot` is which of a limited destination's places it is."""

    storage_config: str
    slot: int | None = None


class Limits(Protocol):
    """Places, those who wait for them, and the pace. Safe to share between threads; every method may raise RetryLater.

    What waits here is in no hurry to be found again: it isn't a job any more, and no thread is held for it.
    """

    def take(self, storage_config: str, most: int | None) -> Berth | None:
        """A place in this process for a transfer to the destination, of which `most` run at a time anywhere (None: no
        limit); None when there is none now. A place ends with the process that holds it."""
        ...

    def give_back(self, berth: Berth) -> None:
        """The place is free again. Never raises."""
        ...

    def park(self, storage_config: str, transfer: str) -> None:
        """The transfer waits for a place; doing it twice changes nothing."""
        ...

    def leave(self, transfer: str) -> None:
        """It doesn't wait any more."""
        ...

    def waiting(self) -> Sequence[str]:
        """The destinations that transfers wait for, those with the fewest running here first."""
        ...

    def first(self, storage_config: str) -> str | None:
        """The transfer that has waited longest for this destination; it doesn't wait any more. None without one."""
        ...

    def reserve(self, storage_config: str, size: int, bytes_per_second: int) -> float:
        """Claim the destination's line for `size` bytes, after all that was claimed before, and return in how many
        seconds it is ours. Each asks for one chunk at a time, so all get the same."""
        ...
