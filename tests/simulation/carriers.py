"""The threads of a worker that carry what waits, as adapters/jobs/worker.py has them."""

from __future__ import annotations

from application.ferry import Ferry
from domain.errors import StarferryError
from tests.simulation.kernel import SECOND, Kernel, Signal
from tests.simulation.waiting import Waiting


class Knocks:
    """How all workers' carriers are told that something is due."""

    def __init__(self) -> None:
        self.carriers: dict[str, Carriers] = {}

    def knock(self) -> None:
        """Something is due now."""
        for carriers in self.carriers.values():
            carriers.knock()

    def later(self) -> None:
        """Something becomes due. In truth nobody tells: a look each second finds it."""
        for carriers in self.carriers.values():
            carriers.think()


class Carriers:
    """One of those at rest looks each second. Looks at which nothing would be due aren't made: it sleeps until then."""

    def __init__(self, kernel: Kernel, waiting: Waiting, ferry: Ferry) -> None:
        self._kernel, self._waiting, self._ferry = kernel, waiting, ferry
        self._signal = Signal()
        self._knocked = self._watched = False

    def knock(self) -> None:
        """One looks; with all under way the next to end looks again."""
        self._knocked = True
        self._kernel.notify(self._signal, 1000)

    def think(self) -> None:
        """Who is at rest finds out anew until when."""
        self._kernel.notify(self._signal)

    def work(self) -> None:
        """One thread's life."""
        while True:
            self._rest()
            try:
                self._ferry.go_on(self.knock)
            except StarferryError as error:
                self._kernel.tell(f"can't go on: {error}")

    def _rest(self) -> None:
        kernel = self._kernel
        while not self._knocked:
            watching = not self._watched
            until = self._look_at() if watching else None
            self._watched = True
            kernel.wait(self._signal, None if until is None else until - kernel.now)
            if watching:
                self._watched = False
                if until is not None and kernel.now >= until:
                    kernel.notify(self._signal)  # somebody else watches
                    return
        self._knocked = False

    def _look_at(self) -> int | None:
        soon = self._kernel.now + SECOND
        at = soon if self._ferry.unsettled else self._waiting.next_at()
        return None if at is None else max(soon, at)
