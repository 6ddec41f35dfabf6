"""Which of many footprints cover or intersect a region, exactly (to TOLERANCE)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from math import isfinite
from typing import NamedTuple

import numpy as np

from adapters.sky.convex import convex_sides
from adapters.sky.outlines import Outlines, joined, locate, outlines
from adapters.sky.sphere import (
    PAIRS_AT_ONCE,
    TOLERANCE,
    Mask,
    Vectors,
    cross,
    crossings,
    dot,
    touchings,
    unit,
    unit_vectors,
)
from application.ports.sky import Region


class Figure(NamedTuple):
    """A region as arrays: its single points, the arcs from `begins` to `ends` of lines and rings, and its polygons.

    `corners` are all its points and vertices; `probes` has one vertex of each connected part of its boundary; `sides`
    are there if it is nothing but a convex polygon.
    """

    corners: Vectors
    probes: Vectors
    begins: Vectors
    ends: Vectors
    polygons: Outlines
    sides: Vectors | None = None


@lru_cache(maxsize=8)
def figure(region: Region) -> Figure:
    """The region as arrays; empty ones if it holds a coordinate that isn't finite."""
    if not _finite(region):
        region = Region()
    if not (region.lines or region.polygons):
        points = unit_vectors(region.points)
        return Figure(points, points, _NO_ARCS, _NO_ARCS, _NO_POLYGONS)
    polygons = outlines(region.polygons)
    lines = [tuple(joined(line)) for line in region.lines]
    points = unit_vectors(region.points)
    on_lines = unit_vectors(chain.from_iterable(lines))
    sizes = np.fromiter(map(len, lines), np.intp, len(lines))
    last = np.zeros(len(on_lines), np.bool_)
    last[np.cumsum(sizes) - 1] = True
    first = np.roll(last, 1)
    return Figure(
        corners=np.concatenate([points, on_lines, polygons.vertices]),
        probes=np.concatenate([points, on_lines[first], polygons.vertices[polygons.starts]]),
        begins=np.concatenate([on_lines[~last], polygons.vertices]),
        ends=np.concatenate([on_lines[~first], polygons.vertices[polygons.following]]),
        polygons=polygons,
        sides=None if lines or region.points else convex_sides(polygons),
    )


_NO_ARCS = unit_vectors(())
_NO_POLYGONS = outlines(())


def _finite(region: Region) -> bool:
    rings = chain.from_iterable(region.polygons)
    return all(isfinite(ra) and isfinite(dec) for ra, dec in chain(region.points, *region.lines, *rings))


def intersecting(footprints: Outlines, region: Figure) -> Mask:
    """(footprints): which have a point in common with the region."""
    hit: Mask = np.any(locate(footprints, region.probes).closed, axis=0)
    outer = np.flatnonzero(~footprints.hole)
    surrounded = locate(region.polygons, footprints.vertices[footprints.starts[outer]]).closed.any(axis=1)
    hit[footprints.owner[outer]] |= surrounded
    open_edges = np.flatnonzero(~hit[footprints.edge_owner])
    if len(open_edges) == 0:
        return hit
    met = _edges_met(footprints, open_edges, region)
    hit[footprints.edge_owner[open_edges[met]]] = True
    return hit


def covering(footprints: Outlines, region: Figure) -> Mask:
    """(footprints): which hold the whole region, their boundary included. None does if the region is empty."""
    covered = np.zeros(footprints.total, np.bool_)
    if len(region.corners) == 0:
        return covered
    covered[:] = True
    at_once = max(1, PAIRS_AT_ONCE // max(1, len(footprints.vertices)))
    for first in range(0, len(region.corners), at_once):
        covered &= locate(footprints, region.corners[first : first + at_once]).closed.all(axis=0)
        if not covered.any():
            return covered
    if len(region.begins):
        # A convex footprint that holds two points holds the arc between them; the others have to be looked at.
        for number in np.flatnonzero(covered & ~_convex(footprints)):
            covered[number] = _holds_arcs_and_insides(footprints.select(int(number)), region)
    return covered


def _edges_met(footprints: Outlines, edges: np.ndarray[tuple[int], np.dtype[np.intp]], region: Figure) -> Mask:
    """Which of the footprints' edges cross or touch an arc of the region, or one of its points."""
    a, b = footprints.vertices[edges], footprints.vertices[footprints.following[edges]]
    met = np.zeros(len(edges), np.bool_)
    at_once = max(1, PAIRS_AT_ONCE // max(1, len(edges)))
    for first in range(0, len(region.begins), at_once):
        c, d = region.begins[first : first + at_once], region.ends[first : first + at_once]
        met |= crossings(a, b, c, d).any(axis=1) | touchings(c, d, a).any(axis=0)
    for first in range(0, len(region.corners), at_once):
        met |= touchings(a, b, region.corners[first : first + at_once]).any(axis=1)
    return met


def _convex(footprints: Outlines) -> Mask:
    """Which footprints are certainly convex: triangles and quadrangles, without holes, that always turn one way."""
    following = footprints.following
    a, b, c = (footprints.vertices[each] for each in (slice(None), following, following[following]))
    turns = dot(cross(a, b), c)
    one_way = np.logical_and.reduceat(turns > 0, footprints.starts) | np.logical_and.reduceat(
        turns < 0, footprints.starts
    )
    convex = np.zeros(footprints.total, np.bool_)
    convex[footprints.owner] = one_way & footprints.narrow & (footprints.sizes <= 4)
    convex[footprints.owner[footprints.hole]] = False
    return convex


def _holds_arcs_and_insides(footprint: Outlines, region: Figure) -> bool:
    """The same for one footprint of any shape, given that it holds all corners of the region.

    Cut where they meet the footprint's edges, the region's arcs are in pieces that are wholly in or wholly out, so
    their middles decide. A polygon is then held unless it has some of the footprint's boundary strictly inside, or
    fills a hole exactly.
    """
    a, b = footprint.vertices, footprint.vertices[footprint.following]
    for middles in _piece_middles(region.begins, region.ends, a, b):
        if not locate(footprint, middles).closed.all():
            return False
    polygons = region.polygons
    if len(polygons.starts) == 0:
        return True
    c, d = polygons.vertices, polygons.vertices[polygons.following]
    for middles in _piece_middles(a, b, c, d):
        if locate(polygons, middles).interior.any():
            return False
    return all(
        locate(footprint, sample).closed.all()
        for sample in (_inner_point(polygons.select(number)) for number in range(polygons.total))
    )


def _piece_middles(a: Vectors, b: Vectors, c: Vectors, d: Vectors) -> Iterator[Vectors]:
    """The arcs from a to b, cut where those from c to d cross or touch them: the middles of the pieces, in batches."""
    rows = max(1, PAIRS_AT_ONCE // len(c))
    for first in range(0, len(a), rows):
        begins, ends = a[first : first + rows], b[first : first + rows]
        cut, by = np.nonzero(crossings(begins, ends, c, d))
        places = unit(cross(cross(begins[cut], ends[cut]), cross(c[by], d[by])))
        places *= np.where(dot(places, begins[cut] + ends[cut]) < 0, -1.0, 1.0)[:, np.newaxis]
        touched, toucher = np.nonzero(touchings(begins, ends, c))
        every = np.arange(len(begins))
        arc = np.concatenate([every, cut, touched, every])
        place = np.concatenate([begins, places, c[toucher], ends])
        ahead = unit(cross(cross(begins, ends), begins))
        order = np.lexsort((np.arctan2(dot(place, ahead[arc]), dot(place, begins[arc])), arc))
        arc, place = arc[order], place[order]
        same = arc[:-1] == arc[1:]
        yield unit(place[:-1][same] + place[1:][same])


def _inner_point(polygon: Outlines) -> Vectors:
    """(1, 3) a point strictly inside the polygon; (0, 3) where there is none, as in one of no width.

    Some ear of a simple ring has its centre inside; beside the middle of an edge, the inside is on one side.
    """
    here, following = polygon.vertices, polygon.following
    there = here[following]
    ears = unit(here + there + here[following[following]])
    aside = 4 * TOLERANCE * unit(cross(here, there))
    middles = unit(here + there)
    candidates = np.concatenate([ears, unit(middles + aside), unit(middles - aside)])
    inside = np.flatnonzero(locate(polygon, candidates).interior[:, 0])
    return candidates[inside[:1]]
