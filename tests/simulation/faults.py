"""What a call of a port may meet, by chance or as a plan lists it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from domain.errors import RetryLater
from tests.simulation.kernel import SECOND, Crash, Kernel, Task

T = TypeVar("T")

RATES: dict[str, tuple[float, tuple[str, ...]]] = {
    "log.append": (0.05, ("lost", "unsure", "unsure", "die", "die after", "slow")),
    "log.read": (0.006, ("lost", "slow", "die")),
    "lookup": (0.01, ("lost", "slow", "die")),
    "vault": (0.02, ("lost", "unsure", "die", "die after")),
    "jobs": (0.05, ("lost", "unsure", "die", "die after", "dropped", "twice", "late")),
    "limits": (0.01, ("lost", "unsure", "die", "die after")),
    "store": (0.02, ("lost", "unsure", "die", "die after", "slow")),
    "destination": (
        0.1,
        ("lost", "unsure", "unsure", "die", "die after", "die after", "slow", "429", "quota", "401", "half", "corrupt"),
    ),
    "broker": (0.25, ("lost", "unsure", "die", "die after", "part", "part", "part")),
    "receiver": (0.1, ("lost", "unsure", "die", "die after", "500")),
}
"""How often at most times, and what: not done; done, with the reply lost; the process dies before, or after; and what
the port itself acts out."""

MESSAGES = {"store": "The file store can't be reached.", "destination": "The provider can't be reached."}
OWN = {"dropped", "twice", "late", "429", "quota", "401", "half", "corrupt", "part", "500"}
"""What the port itself acts out."""


class Faults:
    """Decides on each call, and writes down what it decided. Each seed has some ports in more trouble than others."""

    def __init__(self, seed: int, listed: tuple[str, ...] | None) -> None:
        self.on = True
        swarm = Random(f"{seed}/swarm")
        self._rates = {
            port: (rate * swarm.choice((0.0, 0.3, 1.0, 1.0, 3.0)), tuple(swarm.sample(kinds, len(kinds) // 2)) + kinds)
            for port, (rate, kinds) in RATES.items()
        }
        self.happened: list[str] = []
        self._listed = None if listed is None else dict(part.split("=") for part in listed)

    def at(self, task: Task, port: str) -> str:
        """What this call of the task meets; empty for nothing."""
        place = f"{task.name}:{task.calls}"
        if self._listed is not None:
            kind = self._listed.get(place, "")
            return kind if self.on and kind in RATES[port][1] else ""
        if not self.on:
            return ""
        rate, kinds = self._rates[port]
        if task.chance.random() >= rate:
            return ""
        kind = task.chance.choice(kinds)
        self.happened.append(f"{place}={kind}")
        return kind


class Wire:
    """Between the program and its ports: each call takes time, may fail, and is told in the trace."""

    def __init__(self, kernel: Kernel, faults: Faults, die: Callable[[Task], None]) -> None:
        self.kernel, self.faults, self._die = kernel, faults, die
        self.database_away = False

    def call(self, port: str, what: str, do: Callable[[], T], act: Callable[[str], T] | None = None) -> T:
        """`do`, or what becomes of it. `act` acts out the faults that are the port's own."""
        kernel = self.kernel
        task = kernel.current
        if task.dead:
            raise Crash
        task.calls += 1
        draw = task.random.random()
        if draw < 0.5:
            kernel.pause(1 + int(draw * 2000 * task.process.lag if draw > 0.1 else draw * 4_000_000))
        kind = self.faults.at(task, port)
        if kind == "slow":
            kernel.pause(int(task.random.random() * 90 * SECOND))
        elif kind == "die":
            kernel.tell(f"{what} DIES")
            self._die(task)
        if self.database_away and port not in ("store", "destination", "broker", "receiver"):
            kernel.tell(f"{what} !away")
            raise RetryLater("The database can't be reached at the moment.")
        if kind == "lost":
            kernel.tell(f"{what} !lost")
            raise RetryLater(MESSAGES.get(port, "The database can't be reached at the moment."))
        try:
            outcome = act(kind) if act is not None and kind in OWN else do()
        except Exception as error:
            kernel.tell(f"{what} !{type(error).__name__}{' ' + kind if kind else ''}")
            raise
        kernel.tell(f"{what} -> {_short(outcome)}{' ' + kind if kind else ''}")
        if kind == "die after":
            self._die(task)
        if kind == "unsure":
            raise RetryLater(MESSAGES.get(port, "The database can't be reached at the moment."))
        return outcome


def _short(outcome: Any) -> str:
    match outcome:
        case None:
            return "ok"
        case bool() | int() | float() | str():
            return str(outcome)
        case frozenset():
            return str(sorted(outcome))
        case list() | tuple() | dict():
            return f"{len(outcome)}"
        case _:
            return getattr(outcome, "told", None) or type(outcome).__name__
