"""All that there is in a simulated world, apart from who does what with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from application.policies.engine import PolicyEngine
from tests.simulation.carriers import Knocks
from tests.simulation.disk import Disk
from tests.simulation.faults import Wire
from tests.simulation.kernel import Kernel, Process, Signal
from tests.simulation.log import Database
from tests.simulation.outside import Listeners, Noted
from tests.simulation.providers import FarSide
from tests.simulation.queue import Places, Queue
from tests.simulation.read_models import KINDS, ReadModel
from tests.simulation.waiting import Waiting


class World:
    """What outlives processes, and what is known of those that run."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.wire: Wire
        self.database = Database()
        self.models = {name: ReadModel(name) for name in KINDS}
        self.waiting, self.knocks = Waiting(), Knocks()
        self.notices = Queue()
        self.places = Places()
        self.disk = Disk()
        self.sealed: dict[str, dict[str, str]] = {}
        self.far: dict[str, FarSide] = {}
        self.listeners = Listeners()
        self.noted: dict[str, Noted] = {}
        self.locks: set[str] = set()
        self.clocks: dict[str, int] = {}
        self.number = self.correlations = 0
        self.ingested: dict[str, str] = {}
        """What was acknowledged, by md5."""
        self.tick = Signal()
        self.sweeps = True
        """False breaks the service: nothing looks for the stuck. (For tests of the simulation itself.)"""
        self.forgets = False
        """Whether frames go when they are a month old."""
        self.retaining: Process | None = None
        self.processes: dict[str, Process] = {}
        self.lives: Counter[str] = Counter()
        self.engines: dict[str, PolicyEngine] = {}
        self.rival: Process | None = None
        """Has the policies' lock, if it is alive."""
        self.led = Signal()
        """The policies' lock is free again."""
        self.limits: dict[str, Any] = {}
        self.ended: Callable[[Process], None] = lambda _: None

    def new_correlation(self) -> str:
        """What one look of a worker's leads to has one."""
        self.correlations += 1
        return f"upkeep-{self.correlations}"
