"""All that there is in a simulated world, apart from who does what with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from application.policies.engine import PolicyEngine
from tests.simulation.disk import Disk
from tests.simulation.faults import Wire
from tests.simulation.kernel import Kernel, Process, Signal
from tests.simulation.log import Database
from tests.simulation.outside import Listeners, Noted
from tests.simulation.providers import FarSide
from tests.simulation.queue import Places, Queue
from tests.simulation.read_models import KINDS, ReadModel


class World:
    """What outlives processes, and what is known of those that run."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.wire: Wire
        self.database = Database()
        self.models = {name: ReadModel(name) for name in KINDS}
        self.transfers, self.notices = Queue(), Queue()
        self.places = Places()
        self.disk = Disk()
        self.sealed: dict[str, dict[str, str]] = {}
        self.far: dict[str, FarSide] = {}
        self.listeners = Listeners()
        self.noted: dict[str, Noted] = {}
        self.locks: set[str] = set()
        self.clocks: dict[str, int] = {}
        self.number = 0
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
        self.limits: dict[str, Any] = {}
        self.ended: Callable[[Process], None] = lambda _: None

    def queued(self) -> set[str]:
        """Transfers that have a job or wait for a place: those that the real look for what is due leaves out."""
        return {name for _, name in self.transfers.todo} | {name for _, name in self.places.waiting}
