"""The job queue, the workers' locks and the destinations' places, as the database keeps them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from application.fair_share import may_begin
from application.ports.limits import Berth
from tests.simulation.faults import Wire
from tests.simulation.kernel import EPOCH, SECOND, Process, Signal


def instant(at: datetime) -> int:
    """Microseconds of simulated time."""
    return int((at - EPOCH).total_seconds() * SECOND)


class Queue:
    """Jobs that nobody has begun, in their order. One that was begun is gone when its worker is."""

    def __init__(self) -> None:
        self.todo: list[tuple[int, str]] = []
        self.doing: Counter[str] = Counter()
        self.changed = Signal()

    def next_at(self) -> int | None:
        """When the next is due."""
        return min((at for at, _ in self.todo), default=None)

    def take(self, now: int) -> str | None:
        """The oldest that is due."""
        for number, (at, name) in enumerate(self.todo):
            if at <= now:
                del self.todo[number]
                return name
        return None


class SimJobs:
    """Implements Jobs and NoticeJobs for one process."""

    def __init__(self, wire: Wire, transfers: Queue, notices: Queue) -> None:
        self._wire, self._transfers, self._notices = wire, transfers, notices

    def nudge(self, transfers: Sequence[tuple[str, datetime | None]]) -> None:
        """See Jobs.nudge."""
        self._put(self._transfers, transfers)

    def nudge_notices(self, notices: Sequence[tuple[str, datetime | None]]) -> None:
        """See NoticeJobs.nudge_notices."""
        self._put(self._notices, notices)

    def _put(self, queue: Queue, wanted: Sequence[tuple[str, datetime | None]]) -> None:
        if not wanted:
            return

        def put(kind: str = "") -> None:
            now = self._wire.kernel.now
            late = 400 * SECOND if kind == "late" else 0
            for name, at in wanted:
                if kind != "dropped":
                    queue.todo += [((now if at is None else instant(at)) + late, name)] * (2 if kind == "twice" else 1)
            self._wire.kernel.notify(queue.changed, 1000)

        self._wire.call("jobs", f"nudge {' '.join(name for name, _ in wanted)}", put, put)


class Places:
    """What the database knows of places: who holds which, what waits, and how far each line is claimed."""

    def __init__(self) -> None:
        self.slots: dict[Berth, str] = {}
        self.waiting: list[tuple[str, str]] = []
        self.free_at: dict[str, int] = {}
        self.parked = Signal()

    def lose(self, identity: str) -> None:
        """The locks of a process are gone with its session."""
        self.slots = {berth: holder for berth, holder in self.slots.items() if holder != identity}


class SimLimits:
    """Implements Limits for one process, by the rules of adapters/jobs/limits.py."""

    def __init__(self, wire: Wire, places: Places, process: Process, most: int) -> None:
        self._wire, self._places, self._process, self._most = wire, places, process, most
        self.running: Counter[str] = Counter()
        self.held: set[Berth] = set()

    def take(self, storage_config: str, most: int | None) -> Berth | None:
        """See Limits.take."""

        def take() -> Berth | None:
            if not may_begin(self.running, storage_config, self._most):
                return None
            berth: Berth | None = Berth(storage_config)
            if most is not None:
                free = (Berth(storage_config, slot) for slot in range(most))
                berth = next((one for one in free if one not in self.held and one not in self._places.slots), None)
                if berth is None:
                    return None
                self.held.add(berth)
                self._places.slots[berth] = self._process.identity
            self.running[storage_config] += 1
            return berth

        if most is None:
            return take()  # this process's own affair
        return self._wire.call("lookup", f"take {storage_config} of {most}", take)

    def give_back(self, berth: Berth) -> None:
        """See Limits.give_back."""
        if not self._process.alive:
            return
        self.running -= Counter([berth.storage_config])
        self.held.discard(berth)
        if self._places.slots.get(berth) == self._process.identity:
            del self._places.slots[berth]
        self._wire.kernel.notify(self._places.parked, 1000)

    def park(self, storage_config: str, transfer: str) -> None:
        """See Limits.park."""

        def park() -> None:
            if all(one != transfer for _, one in self._places.waiting):
                self._places.waiting.append((storage_config, transfer))
            self._wire.kernel.notify(self._places.parked, SECOND)

        self._wire.call("limits", f"park {transfer}", park)

    def leave(self, transfer: str) -> None:
        """See Limits.leave."""

        def leave() -> None:
            self._places.waiting = [one for one in self._places.waiting if one[1] != transfer]

        self._wire.call("limits", f"leave {transfer}", leave)

    def waiting(self) -> Sequence[str]:
        """See Limits.waiting."""

        def waiting() -> list[str]:
            found = sorted({config for config, _ in self._places.waiting})
            possible = [config for config in found if may_begin(self.running, config, self._most)]
            return sorted(possible, key=lambda config: self.running[config])

        return self._wire.call("limits", "waiting", waiting)

    def first(self, storage_config: str) -> str | None:
        """See Limits.first."""

        def first() -> str | None:
            for number, (config, transfer) in enumerate(self._places.waiting):
                if config == storage_config:
                    del self._places.waiting[number]
                    return transfer
            return None

        return self._wire.call("limits", f"first {storage_config}", first)

    def reserve(self, storage_config: str, size: int, bytes_per_second: int) -> float:
        """See Limits.reserve."""

        def reserve() -> float:
            now = self._wire.kernel.now
            begins = max(self._places.free_at.get(storage_config, 0), now)
            self._places.free_at[storage_config] = begins + size * SECOND // bytes_per_second
            return (begins - now) / SECOND

        return self._wire.call("limits", f"reserve {storage_config} {size}", reserve)


class SimWorkers:
    """Implements Workers: who holds a lock."""

    def __init__(self, wire: Wire, locks: set[str]) -> None:
        self._wire, self._locks = wire, locks

    def gone(self, workers: Sequence[str]) -> frozenset[str]:
        """See Workers.gone."""
        return self._wire.call("lookup", "gone", lambda: frozenset(workers) - self._locks) if workers else frozenset()
