"""A convex outline as half-spaces: what settles nearly all questions about it with one product of matrices.

A point is inside if it is inside of each side's great circle. What has all its corners outside of one of them lies
outside as a whole, for it lies in its corners' hull.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from adapters.sky.outlines import Outlines
from adapters.sky.sphere import (
    NO_LENGTH,
    TOLERANCE,
    Indices,
    Mask,
    Vectors,
    cross,
    length,
    tangent_frames,
    unit_vectors,
)
from domain.footprint import Footprint

# What is so far (radians) inside or outside is so also by the rule that gives boundaries a width.
_CLEARLY = 2 * TOLERANCE


def convex_sides(polygons: Outlines) -> Vectors | None:
    """(sides, 3) unit vectors, normal to each side of the one polygon and towards its inside; None if there isn't one
    alone, or it has holes, or isn't certainly convex."""
    if polygons.total != 1 or len(polygons.starts) != 1 or not polygons.narrow[0]:
        return None
    corners = polygons.vertices
    centre = polygons.centres / length(polygons.centres)[:, np.newaxis]
    normals = cross(corners, corners[polygons.following])
    sizes = length(normals)
    if sizes.min() < NO_LENGTH:
        return None
    inward = normals @ centre[0] > 0
    normals /= np.where(inward, sizes, -sizes)[:, np.newaxis]
    e, n = tangent_frames(centre)
    azimuths = np.arctan2(corners @ n[0], corners @ e[0])
    turns = np.mod(azimuths[polygons.following] - azimuths, 2 * np.pi)
    if not inward.all():
        turns = 2 * np.pi - turns
    once_around = inward.all() or not inward.any()
    if not once_around or turns.max() >= np.pi or turns.sum() > 3 * np.pi:
        return None
    return normals if np.all(corners @ normals.T > -TOLERANCE / 1000) else None


def clearly_outside(corners: Vectors, starts: Indices, sides: Vectors) -> Mask:
    """Which sets of corners, each from `starts` on, lie wholly beyond one of the sides."""
    beyond = corners @ sides.T < -_CLEARLY
    outside: Mask = np.any(np.logical_and.reduceat(beyond, starts, axis=0), axis=1)
    return outside


def settle(footprints: Sequence[Footprint], sides: Vectors) -> list[bool | None]:
    """Which footprints have a point in common with what has these sides; None where it takes a closer look."""
    rings = [footprint.coordinates[0] if len(footprint.coordinates) == 1 else () for footprint in footprints]
    sizes = np.fromiter(map(len, rings), np.intp, len(rings))
    open_: list[bool | None] = [None] * len(footprints)
    if not len(sizes) or not sizes.all():
        return open_
    with np.errstate(invalid="ignore"):  # an infinite coordinate
        corners = unit_vectors(chain.from_iterable(rings))
    if not np.isfinite(corners[:, 0]).all():
        return open_
    starts = np.cumsum(sizes) - sizes
    inside = (corners @ sides.T > _CLEARLY).all(axis=1)
    met = np.logical_or.reduceat(inside, starts).tolist()
    outside = clearly_outside(corners, starts, sides).tolist()
    return [True if one else False if other else None for one, other in zip(met, outside, strict=True)]
