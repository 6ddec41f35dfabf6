"""Places at destinations, in one process's memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from application.fair_share import may_begin
from application.ports.limits import Berth
from domain.transfers import destination_of


class CountedLimits:
    """Implements Limits. `parked` wait for a place, `later` will. `reserved` holds what was claimed of a line:
    destination, bytes, bytes a second."""

    def __init__(self, places: int = 8) -> None:
        self.places = places
        self.together = 1
        self.running: Counter[str] = Counter()
        self.parked: list[tuple[str, str]] = []
        self.later: list[tuple[str, str, float]] = []
        self.reserved: list[tuple[str, int, int]] = []
        self.seconds = 0.0

    def take(self, storage_config: str, most: int | None) -> Berth | None:
        """See Limits.take."""
        mine = self.running[storage_config]
        if not may_begin(self.running, storage_config, self.places) or (most is not None and mine >= most):
            return None
        self.running[storage_config] += 1
        return Berth(storage_config)

    def room(self, storage_config: str) -> bool:
        """See Limits.room."""
        return may_begin(self.running, storage_config, self.places)

    def give_back(self, berth: Berth) -> None:
        """See Limits.give_back."""
        self.running[berth.storage_config] -= 1
        assert self.running[berth.storage_config] >= 0

    def park(self, storage_config: str, transfer: str) -> None:
        """The transfer is due: what Jobs.nudge does."""
        if (storage_config, transfer) not in self.parked:
            self.parked.append((storage_config, transfer))

    def put_off(self, storage_config: str, transfer: str, seconds: float) -> None:
        """See Limits.put_off: written down."""
        self.later.append((storage_config, transfer, seconds))

    def waiting(self) -> Sequence[str]:
        """See Limits.waiting."""
        return sorted(dict.fromkeys(config for config, _ in self.parked), key=lambda config: self.running[config])

    def first(self, storage_config: str, *, together: bool) -> Sequence[str]:
        """See Limits.first: as many together as `together` says."""
        found = [one for one in self.parked if one[0] == storage_config][: self.together if together else 1]
        self.parked = [one for one in self.parked if one not in found]
        return [transfer for _, transfer in found]

    def reserve(self, storage_config: str, size: int, bytes_per_second: int) -> float:
        """See Limits.reserve: the answer is what `seconds` says."""
        self.reserved.append((storage_config, size, bytes_per_second))
        return self.seconds


def places_for(transfer: str) -> CountedLimits:
    """For a look at this transfer alone."""
    limits = CountedLimits()
    limits.park(destination_of(transfer), transfer)
    return limits
