"""Sky geometry as a port: which frames lie where the archive is asked to look.

A search has two steps. The database finds candidates by whole-number cell keys (`cells` are stored with a frame,
`query_keys` ask for them, one key in common makes a candidate); then `covers` or `intersects` decides exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from domain.footprint import Footprint, Position, Ring

Relation = Literal["covers", "intersects"]


class Region(msgspec.Struct, frozen=True):
    """A place on the sky that somebody asks about: points, lines and polygons together.

    x is right ascension, y declination, in degrees (ICRS), as they were given: any turn of RA, and Dec beyond a pole,
    are allowed. Edges are the shorter great-circle arcs; the first ring of a polygon is its outline, the others are
    holes, all closed. A region with nothing in it (`POINT EMPTY`, `POINT(NaN NaN)`) is sound and matches nothing.
    """

    points: tuple[Position, ...] = ()
    lines: tuple[tuple[Position, ...], ...] = ()
    polygons: tuple[tuple[Ring, ...], ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it, so that no frame can match."""
        return not (self.points or self.lines or self.polygons)


class Sky(Protocol):
    """Geometry on the celestial sphere. Pure: the same input gives the same answer, in every process."""

    def normalise(self, footprint: Footprint) -> Footprint:
        """The same outline with RA in [-180, 180] and Dec in [-90, 90]; beyond a pole, RA turns by 180 degrees."""
        ...

    def cells(self, footprint: Footprint) -> list[int]:
        """The keys to store with a frame: sorted, each fits a signed 32-bit integer.

        Never raises for a footprint that makes no sense on the sky; such a one has no keys or harmless ones.
        """
        ...

    def cells_many(self, footprints: Sequence[Footprint]) -> list[list[int]]:
        """`cells` of each, in order; far cheaper a footprint than one call each."""
        ...

    def parse(self, text: str, parameter: str) -> Region:
        """Read WKT, EWKT (`SRID=4326;…`), GeoJSON text, or hexadecimal WKB or EWKB; Z and M are dropped.

        Raises InvalidGeometry, and nothing else, with a sentence that names `parameter`.
        """
        ...

    def query_keys(self, region: Region, relation: Relation = "intersects") -> list[int] | None:
        """Keys of which every matching frame has at least one; None when nothing can match.

        The keys for "intersects" are right for "covers" too; naming "covers" gives fewer keys and candidates.
        """
        ...

    def share(self, keys: Sequence[int]) -> float:
        """How much of the sky the cells of a query's keys fill, 1 being all of it."""
        ...

    def covers(self, footprint: Footprint, region: Region) -> bool:
        """Whether the whole region lies in the footprint. Its boundary, and a hole's, belong to the footprint."""
        ...

    def intersects(self, footprint: Footprint, region: Region) -> bool:
        """Whether region and footprint have a point in common; touching counts."""
        ...

    def covers_many(self, footprints: Sequence[Footprint], region: Region) -> list[bool]:
        """`covers` of each, in order; far cheaper a footprint than one call each."""
        ...

    def intersects_many(self, footprints: Sequence[Footprint], region: Region) -> list[bool]:
        """`intersects` of each, in order; far cheaper a footprint than one call each."""
        ...
