"""How many transfers a destination gets at a time, and how fast: over all workers on all hosts (S59)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec


class Berth(msgspec.Struct, frozen=True):
    """A place for one running transfer. `slot` is which of a limited destination's places it is."""

    storage_config: str
    slot: int | None = None


class Limits(Protocol):
    """Places, those who wait for them, and the pace. Safe to share between threads; every method may raise RetryLater.

    Who waits is told by Jobs.nudge, and holds no thread.
    """

    def take(self, storage_config: str, most: int | None) -> Berth | None:
        """A place in this process for a transfer to the destination, of which `most` run at a time anywhere (None: no
        limit); None when there is none now. A place ends with the process that holds it."""
        ...

    def room(self, storage_config: str) -> bool:
        """Whether this process would carry one more to the destination beside those that run."""
        ...

    def give_back(self, berth: Berth) -> None:
        """The place is free again. Never raises."""
        ...

    def put_off(self, storage_config: str, transfer: str, seconds: float) -> None:
        """The transfer isn't due yet: it waits from then on, in so many seconds. One that waits already goes on so."""
        ...

    def waiting(self) -> Iterable[str]:
        """The destinations that transfers wait for, each in its turn; of the next few those with the fewest running
        here come first."""
        ...

    def first(self, storage_config: str, *, together: bool) -> Sequence[str]:
        """The transfer that has been due longest for this destination; it doesn't wait any more. Empty without one.

        With `together` more that follow it, when all are small, and when so many wait that nobody who could carry some
        of them at the same time is left without (application/fair_share.py)."""
        ...

    def reserve(self, storage_config: str, size: int, bytes_per_second: int) -> float:
        """Claim the destination's line for `size` bytes, after all that was claimed before, and return in how many
        seconds it is ours: an hour at most. Each asks for one chunk at a time, so all get the same."""
        ...
