"""The Sky port by great-circle geometry on unit vectors, with numpy and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np

from adapters.sky.convex import settle
from adapters.sky.cover import footprint_keys, query_keys, share
from adapters.sky.outlines import Outlines, locate, outlines
from adapters.sky.parse import parse_region
from adapters.sky.point_test import covers_point
from adapters.sky.relations import covering, figure, intersecting
from adapters.sky.sphere import unit_vectors
from application.ports.sky import Region, Relation
from domain.footprint import Footprint, Position


class SphericalSky:
    """Great-circle geometry; a boundary is 1 mas wide (`sphere.TOLERANCE`)."""

    def normalise(self, footprint: Footprint) -> Footprint:
        """RA in [-180, 180], Dec in [-90, 90]; the outline on the sky stays the same."""
        return Footprint(tuple(tuple(map(_normal_position, ring)) for ring in footprint.coordinates))

    def cells(self, footprint: Footprint) -> list[int]:
        """Keys to store with a frame."""
        return footprint_keys((footprint,))[0]

    def cells_many(self, footprints: Sequence[Footprint]) -> list[list[int]]:
        """Keys to store with each frame."""
        return footprint_keys(footprints)

    def parse(self, text: str, parameter: str) -> Region:
        """Read a region; raises InvalidGeometry."""
        return parse_region(text, parameter)

    def query_keys(self, region: Region, relation: Relation = "intersects") -> list[int] | None:
        """Keys of which every matching frame has at least one; None when nothing can match."""
        return query_keys(figure(region), representative=relation == "covers")

    def share(self, keys: Sequence[int]) -> float:
        """How much of the sky the cells of a query's keys fill, 1 being all of it."""
        return share(keys)

    def covers(self, footprint: Footprint, region: Region) -> bool:
        """Whether the footprint holds the whole region."""
        if region.lines or region.polygons or not region.points:
            return self.covers_many((footprint,), region)[0]
        return all(covers_point(footprint, point) for point in region.points)

    def intersects(self, footprint: Footprint, region: Region) -> bool:
        """Whether footprint and region have a point in common."""
        if region.lines or region.polygons or not region.points:
            return self.intersects_many((footprint,), region)[0]
        return any(covers_point(footprint, point) for point in region.points)

    def covers_many(self, footprints: Sequence[Footprint], region: Region) -> list[bool]:
        """`covers` of each footprint."""
        return self._each(footprints, region, covers=True)

    def intersects_many(self, footprints: Sequence[Footprint], region: Region) -> list[bool]:
        """`intersects` of each footprint.

        Of a wide region's candidates most have a corner inside it, which says enough; only the others are looked at
        whole.
        """
        wanted = figure(region)
        settled = _begin_in(footprints, wanted.polygons) if wanted.sides is None else settle(footprints, wanted.sides)
        others = [number for number, hit in enumerate(settled) if hit is None]
        hits = self._each([footprints[number] for number in others], region, covers=False)
        for number, hit in zip(others, hits, strict=True):
            settled[number] = hit
        return [bool(hit) for hit in settled]

    def _each(self, footprints: Sequence[Footprint], region: Region, covers: bool) -> list[bool]:
        shapes = outlines([footprint.coordinates for footprint in footprints])
        if len(shapes.starts) == 0:
            return [False] * len(footprints)
        found = covering(shapes, figure(region)) if covers else intersecting(shapes, figure(region))
        return [bool(each) for each in found]


def _begin_in(footprints: Sequence[Footprint], polygons: Outlines) -> list[bool | None]:
    """True for the footprints that have their first corner in one of the polygons, if all of them are sound."""
    if len(polygons.starts) == 0 or not _sound(footprints):
        return [None] * len(footprints)
    firsts = unit_vectors([footprint.coordinates[0][0] for footprint in footprints])
    inside: list[bool] = np.any(locate(polygons, firsts).closed, axis=1).tolist()
    return [hit or None for hit in inside]


def _sound(footprints: Sequence[Footprint]) -> bool:
    """Whether all have an outline and no ring without corners, and all their coordinates are finite numbers."""
    if not all(footprint.coordinates and all(footprint.coordinates) for footprint in footprints):
        return False
    corners = chain.from_iterable(chain.from_iterable(footprint.coordinates for footprint in footprints))
    return math.isfinite(sum(chain.from_iterable(corners)))


def _normal_position(position: Position) -> Position:
    ra, dec = position
    if -180.0 <= ra <= 180.0 and -90.0 <= dec <= 90.0:
        return position
    if not (math.isfinite(ra) and math.isfinite(dec)):
        return position
    if abs(dec) > 90:
        dec = math.remainder(dec, 360.0)
        if abs(dec) > 90:
            dec = math.copysign(180.0, dec) - dec
            ra += 180.0
    if abs(ra) > 180:
        ra = math.remainder(ra, 360.0)
    return ra, dec
