"""The jobs of notices, the workers' locks and the destinations' places, as the database keeps them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from application.fair_share import TOGETHER, may_begin
from application.ports.jobs import NONE_KNOWN
from application.ports.limits import Berth
from domain.transfers import destination_of
from tests.simulation.carriers import Knocks
from tests.simulation.faults import Wire
from tests.simulation.kernel import EPOCH, SECOND, Process, Signal
from tests.simulation.waiting import Waiting

WINDOW = 2
"""Destinations that one look finds. There are few here, and more than one window of them is to be seen."""
SHARERS = 1
"""Who else could carry what waits. Few wait here, and that they are taken together is to be seen."""


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

    def __init__(self, wire: Wire, waiting: Waiting, knocks: Knocks, notices: Queue) -> None:
        self._wire, self._waiting, self._knocks, self._notices = wire, waiting, knocks, notices

    def nudge(self, transfers: Sequence[tuple[str, datetime | None]], sizes: Mapping[str, int] = NONE_KNOWN) -> None:
        """See Jobs.nudge."""

        def put(kind: str = "") -> None:
            now = self._wire.kernel.now
            late = 400 * SECOND if kind == "late" else 0
            due: dict[str, tuple[str, int]] = {}
            for name, at in transfers:
                moment = (now if at is None else instant(at)) + late
                due[name] = (destination_of(name), min(moment, due[name][1] if name in due else moment))
            for _ in range({"dropped": 0, "twice": 2}.get(kind, 1)):
                if self._waiting.put(due, now, sizes):
                    self._knocks.knock()
                else:
                    self._knocks.later()

        if transfers:
            self._wire.call("jobs", _nudged(transfers), put, put)

    def nudge_notices(self, notices: Sequence[tuple[str, datetime | None]]) -> None:
        """See NoticeJobs.nudge_notices."""

        def put(kind: str = "") -> None:
            now = self._wire.kernel.now
            late = 400 * SECOND if kind == "late" else 0
            jobs = [((now if at is None else instant(at)) + late, name) for name, at in notices]
            self._notices.todo += jobs * {"dropped": 0, "twice": 2}.get(kind, 1)
            self._wire.kernel.notify(self._notices.changed, 1000)

        if notices:
            self._wire.call("jobs", _nudged(notices), put, put)


def _nudged(wanted: Sequence[tuple[str, datetime | None]]) -> str:
    return f"nudge {' '.join(name for name, _ in wanted)}"


class Places:
    """What the database knows of places: who holds which, and how far each line is claimed."""

    def __init__(self) -> None:
        self.slots: dict[Berth, str] = {}
        self.free_at: dict[str, int] = {}

    def lose(self, identity: str) -> None:
        """The locks of a process are gone with its session."""
        self.slots = {berth: holder for berth, holder in self.slots.items() if holder != identity}


class SimLimits:
    """Implements Limits for one process, by the rules of adapters/jobs/limits.py."""

    def __init__(
        self, wire: Wire, places: Places, waiting: Waiting, knocks: Knocks, process: Process, most: int
    ) -> None:
        self._wire, self._places, self._process, self._most = wire, places, process, most
        self._waiting, self._knocks = waiting, knocks
        self._turn = ""
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

    def room(self, storage_config: str) -> bool:
        """See Limits.room."""
        return may_begin(self.running, storage_config, self._most)

    def give_back(self, berth: Berth) -> None:
        """See Limits.give_back."""
        if not self._process.alive:
            return
        self.running -= Counter([berth.storage_config])
        self.held.discard(berth)
        if self._places.slots.get(berth) == self._process.identity:
            del self._places.slots[berth]

    def put_off(self, storage_config: str, transfer: str, seconds: float) -> None:
        """See Limits.put_off."""

        def put_off() -> None:
            self._waiting.put_off(storage_config, transfer, int(seconds * SECOND), self._wire.kernel.now)
            self._knocks.later()

        self._wire.call("limits", f"put off {transfer} for {seconds}", put_off)

    def waiting(self) -> Iterator[str]:
        """See Limits.waiting."""
        after = turn = self._turn
        while True:
            found = self._destinations(turn, after)
            possible = [config for config in found if may_begin(self.running, config, self._most)]
            yield from sorted(possible, key=lambda config: self.running[config])
            if len(found) < WINDOW or found[-1] == turn:
                return
            after = found[-1]

    def first(self, storage_config: str, *, together: bool) -> Sequence[str]:
        """See Limits.first."""
        self._turn = storage_config
        most = TOGETHER if together else 1

        def take() -> Sequence[str]:
            return self._waiting.take(storage_config, most, SHARERS, self._wire.kernel.now)

        return self._wire.call("limits", f"first {storage_config}, {most} at most", take)

    def _destinations(self, turn: str, after: str) -> Sequence[str]:
        kernel = self._wire.kernel
        return self._wire.call("limits", "waiting", lambda: self._waiting.destinations(turn, after, WINDOW, kernel.now))

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
