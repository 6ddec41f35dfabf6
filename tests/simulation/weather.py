"""What strikes a world from outside: providers that are away or full, clocks that jump, power cuts; and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.simulation.kernel import SECOND
from tests.simulation.processes import end, start
from tests.simulation.state import World

WEATHER = frozenset("away full revoked database clock lock stall rebuild broker receiver rival power kill".split())

Spawn = Callable[[str, Callable[[], None], int], Any]


def strike(world: World, words: list[str], spawn: Spawn, down: dict[str, int]) -> None:
    """Let it happen, and `spawn` what undoes it after its time. `down` says how long a process stays dead."""
    kind, what, length = words[0], words[1:-2], int(words[-1]) * SECOND

    def then(undo: Callable[[], None]) -> None:
        spawn(f"weather-{len(world.kernel.lines)}", undo, length)

    match kind:
        case "away" | "full" | "revoked":
            if what[0] in world.far:
                _provider(world, what[0], kind, then)
        case "database":
            world.wire.database_away = True
            then(lambda: setattr(world.wire, "database_away", False))
        case "clock":
            world.clocks[what[0]] = int(what[1]) * SECOND
            then(lambda: world.clocks.update({what[0]: 0}))
        case "lock":
            process = world.processes[what[0]]
            world.locks.discard(process.identity)
            world.places.lose(process.identity)
            then(lambda: world.locks.add(process.identity) if process.alive else None)
        case "stall":
            model = world.models[what[0]]
            model.stalled = True
            then(lambda: setattr(model, "stalled", False))
        case "rebuild":
            world.models[what[0]].rebuild = True
            world.kernel.notify(world.tick, 10)
        case "broker":
            world.listeners.broker_away = True
            then(lambda: setattr(world.listeners, "broker_away", False))
        case "receiver":
            world.listeners.receiver_away = True
            then(lambda: setattr(world.listeners, "receiver_away", False))
        case "rival":
            if "rival" not in world.processes or not world.processes["rival"].alive:
                rival = start(world, "rival", world.kernel)
                then(lambda: end(world, rival))
        case "power":
            for name in ("api", "core", "w1", "w2", "rival"):
                if name in world.processes:
                    end(world, world.processes[name])
            world.disk.cut_power()
            world.waiting.cut_power(world.kernel.now)
        case _:
            if world.processes[what[0]].alive:
                down[what[0]] = length
                end(world, world.processes[what[0]])


def _provider(world: World, config: str, kind: str, then: Callable[[Callable[[], None]], None]) -> None:
    far = world.far[config]
    setattr(far, kind, True)
    if kind != "revoked":  # only its owner can mend that
        then(lambda: setattr(far, kind, False))


def make_peace(world: World) -> None:
    """Nothing breaks any more."""
    world.wire.database_away = False
    world.clocks.clear()
    for far in world.far.values():
        far.away = far.full = False
    for model in world.models.values():
        model.stalled = False
    world.listeners.broker_away = world.listeners.receiver_away = False
    for name in ("w1", "w2"):
        if world.processes[name].alive:
            world.locks.add(world.processes[name].identity)
    if "rival" in world.processes:
        end(world, world.processes["rival"])
