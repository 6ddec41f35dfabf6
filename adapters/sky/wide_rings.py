"""Rings that don't fit a hemisphere: bands round the sky, half skies. Rare, so plain rather than fast.

A reference point's side is found from the ring's area, and any other point's by counting the ring's arcs that cross
the arc to the reference point.
"""

from __future__ import annotations

import numpy as np

from adapters.sky.sphere import Mask, Vectors, cross, dot, unit

_CANDIDATES = 96

# The golden angle spreads candidate reference points evenly over the sphere.
_STEP = np.arange(_CANDIDATES) + 0.5
_HEIGHT = 1 - 2 * _STEP / _CANDIDATES
_TURN = np.pi * (3 - np.sqrt(5.0)) * _STEP
_SPREAD = np.column_stack([np.sqrt(1 - _HEIGHT**2) * np.cos(_TURN), np.sqrt(1 - _HEIGHT**2) * np.sin(_TURN), _HEIGHT])


def inside_wide_ring(corners: Vectors, points: Vectors) -> Mask:
    """Whether each point is on the ring's smaller side; of two equal sides, always the same one is chosen."""
    ends = np.roll(corners, -1, axis=0)
    first, second = _reference_points(corners, ends)
    inside = np.empty(len(points), np.bool_)
    # An arc to a point nearly opposite is badly defined, so each point uses the reference point that suits it.
    use_first = np.abs(points @ first) <= np.abs(points @ second)
    first_inside = _reference_inside(corners, ends, first)
    second_inside = first_inside != _odd_crossings(corners, ends, second[np.newaxis, :], first).item()
    inside[use_first] = _odd_crossings(corners, ends, points[use_first], first) != first_inside
    inside[~use_first] = _odd_crossings(corners, ends, points[~use_first], second) != second_inside
    return inside


def _reference_points(corners: Vectors, ends: Vectors) -> tuple[Vectors, Vectors]:
    """Two directions, far from the ring and from each other's axis."""
    normals = unit(cross(corners, ends))
    # Rounded, so that of two equally good points the same one is chosen whatever the last digits are.
    distance = np.abs(_SPREAD @ normals.T).min(axis=1).round(9)
    first = _SPREAD[np.argmax(distance)]
    aside = np.abs(_SPREAD @ first) < 0.7
    return first, _SPREAD[aside][np.argmax(distance[aside])]


def _reference_inside(corners: Vectors, ends: Vectors, reference: Vectors) -> bool:
    """The fan of triangles from -reference to the ring never reaches the reference point, so its signed area is that
    of the side without the reference point: more than half the sphere means that the smaller side has it. Of two
    equal sides, the one without it is inside.

    Triangle areas by Van Oosterom and Strackee (1983).
    """
    apex = -reference
    volume = cross(corners, ends) @ apex
    scale = 1 + corners @ apex + dot(corners, ends) + ends @ apex
    return abs(float(2 * np.arctan2(volume, scale).sum())) > 2 * np.pi + 1e-9


def _odd_crossings(corners: Vectors, ends: Vectors, points: Vectors, reference: Vectors) -> Mask:
    """Whether an odd number of the ring's arcs cross the arc from each point to the reference point."""
    e = unit(reference - (points @ reference)[:, np.newaxis] * points)
    n = cross(points, e)
    up, next_up = n @ corners.T, n @ ends.T
    straddles = (up > 0) != (next_up > 0)
    weight, next_weight = np.abs(next_up), np.abs(up)
    along = (e @ corners.T) * weight + (e @ ends.T) * next_weight
    ahead = (points @ corners.T) * weight + (points @ ends.T) * next_weight
    place = np.arctan2(along, ahead)
    whole = np.arctan2(e @ reference, points @ reference)[:, np.newaxis]
    odd: Mask = ((straddles & (place > 0) & (place < whole)).sum(axis=1) % 2).astype(np.bool_)
    return odd
