"""What the readers of all notations gather, with the rules that they share."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan

from application.ports.sky import Region
from domain.footprint import Position, Ring

MOST_VERTICES = 10_000
DEEPEST = 16  # collections within collections


class Unreadable(Exception):
    """Why a text is no region; a clause without a full stop, for the inside of a sentence. Stays in this package."""


class Shapes:
    """Gathers points, lines and polygons; knows when it has had enough."""

    def __init__(self) -> None:
        self._points: list[Position] = []
        self._lines: list[tuple[Position, ...]] = []
        self._polygons: list[tuple[Ring, ...]] = []
        self._vertices = 0
        self._nowhere = False

    def point(self, position: Position | None) -> None:
        """Add a point; None is an empty one."""
        if position is not None:
            self._points.append(self._checked((position,))[0])

    def line(self, positions: Sequence[Position]) -> None:
        """Add a line; one without positions is empty."""
        if len(positions) == 1:
            raise Unreadable("a line needs at least two positions")
        if positions:
            self._lines.append(self._checked(positions))

    def polygon(self, rings: Sequence[Sequence[Position]]) -> None:
        """Add a polygon, outline first; one without rings is empty."""
        if rings and not rings[0]:
            if any(rings):
                raise Unreadable("a polygon with holes needs an outline")
            return
        for ring in rings:
            if ring and len(ring) < 4:
                raise Unreadable("a ring needs at least four positions")
            if ring and ring[0] != ring[-1] and not any(map(isnan, (*ring[0], *ring[-1]))):
                raise Unreadable("a ring must end where it begins")
        if rings:
            self._polygons.append(tuple(self._checked(ring) for ring in rings if ring))

    def count(self, vertices: int) -> None:
        """Raises Unreadable if that many more vertices would be too many; for readers that know beforehand."""
        if self._vertices + vertices > MOST_VERTICES:
            raise Unreadable(f"it has more than {MOST_VERTICES} positions")

    def region(self) -> Region:
        """What was gathered. A coordinate that is NaN makes all of it match nothing."""
        if self._nowhere:
            return Region()
        return Region(tuple(self._points), tuple(self._lines), tuple(self._polygons))

    def _checked(self, positions: Sequence[Position]) -> tuple[Position, ...]:
        self.count(len(positions))
        self._vertices += len(positions)
        for x, y in positions:
            if isnan(x) or isnan(y):
                self._nowhere = True
            elif not (isfinite(x) and isfinite(y)):
                raise Unreadable("a coordinate is infinite")
        return tuple(positions)
