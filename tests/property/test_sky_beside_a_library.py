"""Covers and intersects (rows A24, A25) beside `spherical_geometry`, which shares no code and no author with ours.

100 000 pairs: outlines of all sizes and shapes anywhere, round the poles, across RA 0, with holes; points in them,
about them and close to their edges. Points on a boundary are left out of the comparison, for there the library's answer
is chance, and held to our own rule: the boundary belongs to the footprint, and is 1 mas wide.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from spherical_geometry import great_circle_arc
from spherical_geometry.polygon import SingleSphericalPolygon

from adapters.sky import SphericalSky
from adapters.sky.outlines import locate, outlines
from adapters.sky.sphere import TOLERANCE, unit_vectors
from application.ports.sky import Region
from domain.footprint import Footprint, Ring

SKY = SphericalSky()
ON, NEAR = 1e-9, 2 * TOLERANCE
"""Radians from a boundary: a point counts as on it; is left out."""
OUTLINES, POINTS = 238, 100
PAIRS = 1_200
"""Of outlines, in each of the four places: 4 * (238 * 100 + 1 200) = 100 000."""
PLACES = ("anywhere", "north pole", "south pole", "RA 0")
Array = npt.NDArray[np.float64]
Random = np.random.Generator


class Star(NamedTuple):
    """A star-shaped outline: corners in ascending directions round a middle, from which all of the inside is seen."""

    middle: tuple[float, float]
    directions: Array
    reaches: Array

    def positions(self, directions: Array, reaches: Array) -> list[tuple[float, float]]:
        """RA and Dec in degrees at these directions and distances (radians) from the middle; RA near the middle's."""
        ra, dec = np.radians(self.middle)
        out = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
        east = np.array([-np.sin(ra), np.cos(ra), 0.0])
        sideways = np.outer(np.cos(directions), east) + np.outer(np.sin(directions), np.cross(out, east))
        x, y, z = (np.cos(reaches)[:, np.newaxis] * out + np.sin(reaches)[:, np.newaxis] * sideways).T
        ras = self.middle[0] + (np.degrees(np.arctan2(y, x)) - self.middle[0] + 180) % 360 - 180
        return list(zip(ras.tolist(), np.degrees(np.arctan2(z, np.hypot(x, y))).tolist(), strict=True))

    def ring(self, scale: float = 1.0) -> Ring:
        """The closed outline, larger or smaller by a scale in the tangent plane, where edges stay edges."""
        corners = self.positions(self.directions, np.arctan(np.tan(self.reaches) * scale))
        return (*corners, corners[0])

    def theirs(self, scale: float = 1.0) -> SingleSphericalPolygon:
        """The library's polygon; its inside is where the middle is."""
        return SingleSphericalPolygon(unit_vectors(self.ring(scale)), unit_vectors([self.middle])[0])


def star(random: Random, place: str, largest: float = 60.0) -> Star:
    size = np.radians(10 ** random.uniform(-2, np.log10(largest)))
    beside = np.degrees(size) * random.uniform(-0.8, 0.8)
    middle = {
        "anywhere": (random.uniform(-180, 540), np.degrees(np.arcsin(random.uniform(-1, 1)))),
        "north pole": (random.uniform(0, 360), 90 - abs(beside)),
        "south pole": (random.uniform(0, 360), -90 + abs(beside)),
        "RA 0": (random.choice([0.0, 360.0]) + beside, random.uniform(-80, 80)),
    }[place]
    count = int(random.integers(3, 12))
    directions = 2 * np.pi * (np.arange(count) + random.uniform(-0.24, 0.24, count)) / count + random.uniform(0, 7)
    return Star(middle, directions, size * random.uniform(0.3, 1.0, count))


def distances(points: Array, ring: Ring) -> Array:
    """Of each point to the nearest place of the ring, in radians."""
    vertices = unit_vectors(ring)
    a, b = vertices[:-1], vertices[1:]
    normal = np.cross(a, b)
    normal /= np.linalg.norm(normal, axis=1)[:, np.newaxis]
    between = (points @ np.cross(normal, a).T >= 0) & (points @ np.cross(b, normal).T >= 0)
    to_ends = np.linalg.norm(points[:, np.newaxis] - a, axis=2)
    to_ends = np.minimum(to_ends, np.linalg.norm(points[:, np.newaxis] - b, axis=2))
    nearest: Array = np.where(between, np.abs(points @ normal.T), to_ends).min(axis=1)
    return nearest


def points_about(random: Random, outline: Star) -> list[tuple[float, float]]:
    """In it, about it, within a thousandth of its corners' reach, and on its boundary: corners and middles of edges."""
    largest = outline.reaches.max()
    spread = outline.positions(random.uniform(0, 7, 70), random.uniform(0, 1.3, 70) * largest)
    corner = random.integers(0, len(outline.directions), 20)
    close = outline.positions(
        outline.directions[corner], outline.reaches[corner] * (1 + random.choice([-1e-3, 1e-3], 20))
    )
    ring = outline.ring()
    vectors = unit_vectors(ring)
    x, y, z = (vectors[:-1] + vectors[1:]).T
    middles = np.column_stack([np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))]).tolist()
    on = [*ring[:-1], *((ra, dec) for ra, dec in middles)]
    return [*spread, *close, *(on[k] for k in random.integers(0, len(on), POINTS - 90))]


@pytest.mark.parametrize("place", PLACES)
def test_a24_points_are_in_the_footprints_in_which_another_library_sees_them(place: str) -> None:
    random = np.random.default_rng(24 + PLACES.index(place))
    compared = inside = on_boundary = 0
    for _ in range(OUTLINES):
        outline = star(random, place)
        rings, holes = [outline.ring()], []
        if random.random() < 0.3:
            scale = random.uniform(0.2, 0.8)
            rings.append(outline.ring(scale))
            holes.append(outline.theirs(scale))
        if random.random() < 0.5:
            rings = [ring[::-1] for ring in rings]
        area, whole = Footprint(tuple(rings)), outline.theirs()
        points = points_about(random, outline)
        vectors = unit_vectors(points)
        distance = np.min([distances(vectors, ring) for ring in rings], axis=0)
        on, near = distance < ON, distance < NEAR
        theirs = np.array(
            [whole.contains_point(v) and not any(hole.contains_point(v) for hole in holes) for v in vectors], np.bool_
        )
        ours = np.array([SKY.covers(area, Region(points=(point,))) for point in points])
        together = locate(outlines([area.coordinates]), vectors).closed[:, 0]
        assert (ours == together).all()
        assert ours[on].all(), "the boundary belongs to the footprint"
        wrong = np.flatnonzero((ours != theirs) & ~near)
        assert len(wrong) == 0, (area, points[wrong[0]])
        compared += int((~near).sum())
        inside += int(theirs[~near].sum())
        on_boundary += int(on.sum())
    assert on_boundary >= OUTLINES * 10
    assert compared > OUTLINES * (POINTS - 10) - 20, "all others were compared"
    assert compared / 5 < inside < compared * 4 / 5, "both answers occurred"


@pytest.mark.parametrize("place", PLACES)
def test_a25_outlines_intersect_and_cover_each_other_where_another_library_says_so(place: str) -> None:
    random = np.random.default_rng(25 + PLACES.index(place))
    counted = {"apart": 0, "across": 0, "within": 0, "in a hole": 0}
    for _ in range(PAIRS):
        one = star(random, place, largest=30.0)
        # the other's middle lies within reach of one, so that all relations occur
        where = one.positions(random.uniform(0, 7, 1), random.uniform(0, 1.6, 1) * one.reaches.max())[0]
        size = one.reaches * 10 ** random.uniform(-1.5, 0.3)
        turned = one.directions + random.uniform(0, 7)
        other = Star(where, turned, np.minimum(size, 1.0))
        hole = random.uniform(0.3, 0.9) if random.random() < 0.3 else None
        area = Footprint((one.ring(),) if hole is None else (one.ring(), one.ring(hole)))
        region = Region(polygons=((other.ring(),),))
        theirs_one, theirs_other = one.theirs(), other.theirs()
        meets = theirs_one.intersects_poly(theirs_other)
        holds = meets and _holds(theirs_one, theirs_other)
        if hole is not None:
            gap = one.theirs(hole)
            in_hole = _holds(gap, theirs_other)
            counted["in a hole"] += in_hole
            meets &= not in_hole
            holds &= not gap.intersects_poly(theirs_other)
        assert SKY.intersects(area, region) is bool(meets), (area, region)
        assert SKY.covers(area, region) is bool(holds), (area, region)
        counted["within" if holds else "across" if meets else "apart"] += 1
    assert min(counted.values()) > PAIRS / 100, counted


def _holds(outer: SingleSphericalPolygon, inner: SingleSphericalPolygon) -> bool:
    """Whether all of the inner one lies in the outer: its corners do, and no edges cross."""
    if not all(outer.contains_point(corner) for corner in inner.points):
        return False
    begins, ends = outer.points[:-1], outer.points[1:]
    return not any(
        np.any(great_circle_arc.intersects(a, b, begins, ends))
        for a, b in zip(inner.points[:-1], inner.points[1:], strict=True)
    )
