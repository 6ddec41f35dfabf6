"""What a program asks of others, written down instead of done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from application.ports.jobs import NONE_KNOWN
from domain.event import Recorded


class ListedJobs:
    """Implements Jobs: keeps the nudges, and the sizes that are known."""

    def __init__(self) -> None:
        self.nudges: list[tuple[str, datetime | None]] = []
        self.sizes: dict[str, int] = {}

    def nudge(self, transfers: Sequence[tuple[str, datetime | None]], sizes: Mapping[str, int] = NONE_KNOWN) -> None:
        """See Jobs.nudge."""
        self.nudges.extend(transfers)
        self.sizes.update(sizes)


class ListedDeadLetters:
    """Implements DeadLetters: keeps the letters."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, int]] = []

    def put(self, consumer: str, recorded: Recorded) -> None:
        """See DeadLetters.put."""
        self.letters.append((consumer, recorded.position))


class NamedWorkers:
    """Implements Workers: exactly the named ones are alive."""

    def __init__(self, *alive: str) -> None:
        self.alive = set(alive)

    def gone(self, workers: Sequence[str]) -> frozenset[str]:
        """See Workers.gone."""
        return frozenset(workers) - self.alive
