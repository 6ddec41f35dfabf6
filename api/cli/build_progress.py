"""Tells how a build of a read model comes along: a bar on a terminal, a line every few seconds otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from projections.builds import Pace

LINE_SECONDS = 5.0
SHORT_SECONDS = 1.0
"""What takes less isn't worth a line of its own."""


class BuildProgress:
    """Use as a context; `begin` a read model, then give `report` and `tell` to the rebuild."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, terminal: bool | None = None) -> None:
        self._clock = clock
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
        )
        self._bars = Progress(*columns, console=console)
        self._on_terminal = console.is_terminal if terminal is None else terminal
        self._name, self._doing = "", ""
        self._task: TaskID | None = None
        self._pace: Pace | None = None
        self._told = clock()

    def __enter__(self) -> BuildProgress:
        if self._on_terminal:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._on_terminal:
            self._bars.stop()

    def begin(self, name: str) -> None:
        """What is reported from now on is about this read model."""
        self._name, self._doing, self._pace = name, "", None
        if self._on_terminal:
            self._task = self._bars.add_task(name, total=None, pace="")

    def tell(self, doing: str) -> None:
        """What is being done now."""
        first, self._doing, self._pace = not self._doing, doing, None
        if self._task is not None:
            self._bars.update(self._task, description=f"{self._name}: {doing}", pace="")
        elif first or self._clock() - self._told >= SHORT_SECONDS:
            self._line(f"{self._name}: {doing}")

    def report(self, position: int, upto: int) -> None:
        """A batch is done."""
        if self._pace is None:
            self._pace = Pace(position, self._clock)
            rate = 0.0
        else:
            rate = self._pace.at(position)
        pace = pace_text(rate, upto - position)
        if self._task is not None:
            self._bars.update(self._task, completed=position, total=upto, pace=pace)
        elif self._clock() - self._told >= LINE_SECONDS:
            share = 100 * position // max(upto, 1)
            self._line(f"{self._name}: {self._doing}, {share} % ({position} of {upto}){', ' * bool(pace)}{pace}")

    def _line(self, text: str) -> None:
        self._told = self._clock()
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def pace_text(rate: float, left: float) -> str:
    """`4300 events/s, 2 min 10 s left`; nothing at no rate."""
    if rate <= 0:
        return ""
    return f"{rate:.0f} events/s, {duration_text(left / rate)} left"


def duration_text(seconds: float) -> str:
    """In the two largest units: `1 h 5 min`, `2 min 10 s`, `8 s`."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def size_text(size: int) -> str:
    """`1.5 GB`, `40 MB`, `24 kB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6)):
        if size >= factor:
            return f"{size / factor:.{1 if size < 10 * factor else 0}f} {unit}"
    return f"{size // 1000} kB"
