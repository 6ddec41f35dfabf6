"""Draws who is killed and when."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

from tests.crashes.installation import COMMANDS, Installation

KINDS = {
    "api": 20,
    "projections": 18,
    "worker 1": 12,
    "worker 2": 12,
    "both workers": 6,
    "api and projections": 6,
    "postgres": 12,
    "backend": 8,
    "session": 10,
    "postgres and one more": 5,
    "everything": 5,
}
"""How often each is drawn. `postgres` is the server's first process, `backend` any of its others (the server then ends
all sessions), `session` one that is ended by itself."""
SOON = 3.0
"""Seconds. A blow comes at most so long after the one before, or after all processes were at work again."""
AT_WORK = 0.4
"""Of the blows, those that wait until all are at work; the others also meet what is just starting."""


class Killer:
    """Strikes an installation. The same seed draws the same victims at the same moments; the first to be struck may be
    given."""

    def __init__(self, installation: Installation, seed: int, first: Sequence[str] = ()) -> None:
        self._first = list(first)
        self._installation = installation
        self._chance = random.Random(seed)
        self.blows: Counter[str] = Counter()

    @property
    def kills(self) -> int:
        """Blows that met somebody; one that meets several counts once."""
        return self.blows.total()

    def moment(self) -> tuple[bool, float]:
        """Whether the next blow waits until all are at work, and how many seconds it waits then."""
        return self._chance.random() < AT_WORK, self._chance.uniform(0.05, SOON)

    def strike(self) -> str:
        """Kill, and say whom; nothing when nobody was there."""
        kind = self._first[0] if self._first else self._chance.choices(list(KINDS), list(KINDS.values()))[0]
        met = [kill() for kill in self._kills(kind)]
        if not any(met):
            return ""
        self._first = self._first[1:]
        self.blows[kind] += 1
        return kind

    def _kills(self, kind: str) -> list[Callable[[], bool]]:
        chance, installation = self._chance, self._installation

        def process(name: str) -> Callable[[], bool]:
            return lambda: installation.kill(name)

        def postgres() -> bool:
            return installation.hurt_database("postgres", chance)

        match kind:
            case "both workers":
                return [process("worker 1"), process("worker 2")]
            case "api and projections":
                return [process("api"), process("projections")]
            case "postgres":
                return [postgres]
            case "backend":
                return [lambda: installation.hurt_database("backend", chance)]
            case "session":
                return [lambda: installation.hurt_database("session", chance)]
            case "postgres and one more":
                return [postgres, process(chance.choice(list(COMMANDS)))]
            case "everything":
                return [*map(process, COMMANDS), postgres]
            case _:
                return [process(kind)]
