"""Unit vectors and great-circle arcs: the few formulas that everything else in this package stands on."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np
import numpy.typing as npt

from domain.footprint import Position

Vectors = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

# One milliarcsecond, in radians: how far outside a boundary still counts as on it. It is above what is lost when a
# coordinate is written with seven decimals of a degree (0.18 mas) and far above double rounding (1e-15 rad), so a
# point that somebody computed to be on an edge is on it; and it is hundreds of times below a pixel.
TOLERANCE = float(np.radians(1 / 3_600_000))

# Two ends count as opposite within about 30 mas: closer than that, rounding would choose the arc between them.
_OPPOSITE = -1 + 1e-14

# Arcs shorter than this (radians) have no direction that rounding leaves intact: only their ends count.
NO_LENGTH = 1e-12

# How many pairs are compared at once: 1.6 MB a matrix of doubles, of which about ten are alive together.
PAIRS_AT_ONCE = 200_000


def unit_vectors(positions: Iterable[Position]) -> Vectors:
    """(n, 3) unit vectors of RA, Dec in degrees; any turn of RA, and Dec beyond a pole, come out right."""
    degrees = np.fromiter(chain.from_iterable(positions), np.float64).reshape(-1, 2)
    radians = np.radians(degrees)
    ra, dec = radians[:, 0], radians[:, 1]
    across = np.cos(dec)
    vectors = np.empty((len(degrees), 3))
    vectors[:, 0] = across * np.cos(ra)
    vectors[:, 1] = across * np.sin(ra)
    vectors[:, 2] = np.sin(dec)
    return vectors


def cross(a: Vectors, b: Vectors) -> Vectors:
    """Row by row vector product; several times faster than numpy's own on small arrays."""
    product = np.empty(np.broadcast_shapes(a.shape, b.shape))
    product[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    product[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    product[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return product


def dot(a: Vectors, b: Vectors) -> Vectors:
    """Row by row scalar product."""
    product: Vectors = np.einsum("...i,...i->...", a, b)
    return product


def length(a: Vectors) -> Vectors:
    """Length of each row."""
    return np.sqrt(dot(a, a))


def unit(a: Vectors) -> Vectors:
    """Each row with length 1; a row of zeros stays one."""
    size = length(a)
    return a / np.where(size > 0, size, 1.0)[..., np.newaxis]


def opposite(a: Vectors, b: Vectors) -> Mask:
    """Row by row: whether the two directions are so nearly opposite that no single arc joins them."""
    return dot(a, b) < _OPPOSITE


def tangent_frames(points: Vectors) -> tuple[Vectors, Vectors]:
    """For each point two unit vectors (e, n) such that e, n, point are a right-handed set."""
    aside = np.zeros_like(points)
    aside[np.arange(len(points)), np.argmin(np.abs(points), axis=1)] = 1.0
    e = unit(cross(aside, points))
    return e, cross(points, e)


def near_arcs(points: Vectors, a: Vectors, b: Vectors) -> Mask:
    """Row by row: whether the point lies within TOLERANCE of the arc from a to b."""
    if len(points) == 0:  # nearly always; a dozen calls of numpy for nothing cost as much as for a hundred rows
        return np.zeros(0, np.bool_)
    normal = cross(a, b)
    size = length(normal)
    between = (dot(cross(normal, a), points) >= 0) & (dot(cross(b, normal), points) >= 0)
    on_circle = (np.abs(dot(normal, points)) <= TOLERANCE * size) & (size > NO_LENGTH)
    at_end = (length(points - a) <= TOLERANCE) | (length(points - b) <= TOLERANCE)
    return (between & on_circle) | at_end


def crossings(a: Vectors, b: Vectors, c: Vectors, d: Vectors) -> Mask:
    """(n, m): whether arc i from a to b and arc j from c to d cross at a point inside both."""
    ab, cd = cross(a, b), cross(c, d)
    c_side, d_side = ab @ c.T, ab @ d.T
    a_side, b_side = a @ cd.T, b @ cd.T
    return (c_side * d_side < 0) & (a_side * b_side < 0) & (c_side * b_side > 0)


def touchings(a: Vectors, b: Vectors, points: Vectors) -> Mask:
    """(n, m): whether point j lies on arc i from a to b, within TOLERANCE."""
    normal = cross(a, b)
    # A necessary condition first, which nearly all pairs fail; the term 1e-15 is for arcs of no length.
    candidates = np.abs(normal @ points.T) <= (TOLERANCE * length(normal) + 1e-15)[:, np.newaxis]
    arc, point = np.nonzero(candidates)
    candidates[arc, point] = near_arcs(points[point], a[arc], b[arc])
    return candidates
