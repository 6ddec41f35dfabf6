"""Many spherical polygons as flat arrays, and which points lie in which of them.

A ring's inside is its smaller side, whichever way round it was drawn; where a ring crosses itself, the even-odd rule
decides. Looking at the sky along a point p, a ring's arcs become straight segments as seen from p, so counting the
arcs that cross a ray from p tells whether p and -p are on different sides of the ring. For a ring within a hemisphere
that is the answer, as only one of the two can be inside; other rings are left to `wide_rings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np

from adapters.sky.sphere import (
    PAIRS_AT_ONCE,
    TOLERANCE,
    Indices,
    Mask,
    Vectors,
    cross,
    dot,
    length,
    near_arcs,
    opposite,
    tangent_frames,
    unit_vectors,
)
from adapters.sky.wide_rings import inside_wide_ring
from domain.footprint import Position, Ring

# A ring counts as within a hemisphere when every vertex is this far (as a cosine) inside the one round its mean.
_WITHIN_HEMISPHERE = 0.01


class Outlines(NamedTuple):
    """`total` polygons: `vertices` (v, 3) of all rings in turn, without the repeated last one.

    `following` (v) is the index of the vertex at the other end of each edge. Ring r starts at `starts[r]`, belongs to
    polygon `owner[r]` and is a hole if `hole[r]`. Polygons that were dropped as meaningless own no ring.
    """

    total: int
    vertices: Vectors
    following: Indices
    starts: Indices
    owner: Indices
    hole: Mask

    @property
    def sizes(self) -> Indices:
        """How many vertices each ring has."""
        return np.diff(np.append(self.starts, len(self.vertices)))

    @property
    def edge_owner(self) -> Indices:
        """The polygon that each edge belongs to."""
        return np.repeat(self.owner, self.sizes)

    @property
    def centres(self) -> Vectors:
        """A vector towards the middle of each ring, not of unit length."""
        return np.add.reduceat(self.vertices, self.starts, axis=0)

    @property
    def narrow(self) -> Mask:
        """Which rings fit the hemisphere round their mean, with something to spare."""
        centres = self.centres
        margins = dot(self.vertices, np.repeat(centres, self.sizes, axis=0))
        narrow: Mask = np.minimum.reduceat(margins, self.starts) > _WITHIN_HEMISPHERE * length(centres)
        return narrow

    def select(self, polygon: int) -> Outlines:
        """One of the polygons on its own."""
        mine = self.owner == polygon
        edges = np.repeat(mine, self.sizes)
        sizes = self.sizes[mine]
        return assemble(1, self.vertices[edges], sizes, np.zeros(len(sizes), np.intp), self.hole[mine])


class Location(NamedTuple):
    """(points, polygons): `closed` counts the boundary as part of the polygon, `interior` doesn't."""

    closed: Mask
    interior: Mask


def outlines(polygons: Sequence[Sequence[Ring]]) -> Outlines:
    """The polygons as arrays; one with a coordinate that isn't a finite number, or with an empty ring, is dropped."""
    plain = _as_arrays(polygons)
    if opposite(plain.vertices, plain.vertices[plain.following]).any():
        return _as_arrays([[tuple(joined(ring)) for ring in polygon] for polygon in polygons])
    return plain


def _as_arrays(polygons: Sequence[Sequence[Ring]]) -> Outlines:
    rings = [(polygon, ring) for polygon, own in enumerate(polygons) for ring in own]
    corners = [_open(ring) for _, ring in rings]
    sizes = np.fromiter(map(len, corners), np.intp, len(corners))
    owner = np.fromiter((polygon for polygon, _ in rings), np.intp, len(rings))
    vertices = _vectors(corners)
    starts = _starts(sizes)
    sound = _sound(vertices, sizes, owner, len(polygons))
    if not sound.all():
        mended = _as_arrays([polygon if ok else () for polygon, ok in zip(polygons, sound.tolist(), strict=True)])
        return mended._replace(total=len(polygons))
    return Outlines(len(polygons), vertices, _following(starts, sizes), starts, owner, np.diff(owner, prepend=-1) == 0)


def assemble(total: int, vertices: Vectors, sizes: Indices, owner: Indices, hole: Mask) -> Outlines:
    """Outlines of vectors that are sound already."""
    starts = _starts(sizes)
    return Outlines(total, vertices, _following(starts, sizes), starts, owner, hole)


def joined(path: Sequence[Position]) -> Iterator[Position]:
    """The path, with a middle put in where two ends are opposite each other and no single arc joins them.

    Such an edge follows the straight line in RA and Dec, so that pole to pole at RA 10 runs along RA 10.
    """
    yield from path[:1]
    for (ra, dec), end in pairwise(path):
        if opposite(*unit_vectors(((ra, dec), end))[:, np.newaxis, :]).item():
            yield (ra + end[0]) / 2, (dec + end[1]) / 2
        yield end


def locate(polygons: Outlines, points: Vectors) -> Location:
    """Where each point lies with regard to each polygon; (points, polygons)."""
    closed = np.zeros((len(points), polygons.total), np.bool_)
    interior = np.zeros_like(closed)
    if len(polygons.starts) == 0 or len(points) == 0:
        return Location(closed, interior)
    rows = max(1, PAIRS_AT_ONCE // len(polygons.vertices))
    for first in range(0, len(points), rows):
        part = slice(first, first + rows)
        inside, on = _ring_sides(polygons, points[part])
        with_boundary, without = inside | on, inside & ~on
        outer, hole = ~polygons.hole, polygons.hole
        closed[part, polygons.owner[outer]] = with_boundary[:, outer]
        interior[part, polygons.owner[outer]] = without[:, outer]
        for ring in np.flatnonzero(hole):
            closed[part, polygons.owner[ring]] &= ~without[:, ring]
            interior[part, polygons.owner[ring]] &= ~with_boundary[:, ring]
    return Location(closed, interior)


def _ring_sides(polygons: Outlines, points: Vectors) -> tuple[Mask, Mask]:
    """(points, rings): whether inside, by even-odd, and whether within TOLERANCE of the ring."""
    vertices, following, starts = polygons.vertices, polygons.following, polygons.starts
    e, n = tangent_frames(points)
    along, up = e @ vertices.T, n @ vertices.T
    next_along, next_up = along[:, following], up[:, following]
    turn = along * next_up - next_along * up
    above = up > 0
    crosses = (above != (next_up > 0)) & ((turn < 0) == above)
    differs = np.logical_xor.reduceat(crosses, starts, axis=1)

    inside = differs & (points @ polygons.centres.T > 0)
    for ring in np.flatnonzero(~polygons.narrow):
        corners = vertices[starts[ring] : starts[ring] + polygons.sizes[ring]]
        inside[:, ring] = inside_wide_ring(corners, points)

    on = np.zeros_like(inside)
    # A necessary condition first, which nearly all pairs fail; the term 1e-15 is for edges of no length.
    reach = TOLERANCE * length(cross(vertices, vertices[following])) + 1e-15
    point, edge = np.nonzero(np.abs(turn) <= reach)
    near = near_arcs(points[point], vertices[edge], vertices[following[edge]])
    ring_of_edge = np.searchsorted(starts, edge[near], side="right") - 1
    on[point[near], ring_of_edge] = True
    return inside, on


def _open(ring: Sequence[Position]) -> Sequence[Position]:
    return ring[:-1] if len(ring) > 1 and ring[0] == ring[-1] else ring


def _vectors(rings: Iterable[Sequence[Position]]) -> Vectors:
    # A coordinate that isn't finite becomes a vector that isn't, silently; the caller drops it.
    with np.errstate(invalid="ignore"):
        return unit_vectors(chain.from_iterable(rings))


def _sound(vertices: Vectors, sizes: Indices, owner: Indices, count: int) -> Mask:
    sound = np.ones(count, np.bool_)
    sound[owner[sizes == 0]] = False
    sound[np.repeat(owner, sizes)[~np.isfinite(vertices[:, 0])]] = False
    return sound


def _starts(sizes: Indices) -> Indices:
    return np.cumsum(sizes) - sizes


def _following(starts: Indices, sizes: Indices) -> Indices:
    following = np.arange(1, int(sizes.sum()) + 1)
    following[starts + sizes - 1] = starts
    return following
