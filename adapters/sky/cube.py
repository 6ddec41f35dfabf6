"""Cells of the sky: a cube round the sphere, each face a quadtree, so that a great circle is a straight line on it.

A face's two coordinates are angles from -45 to 45 degrees (the arc tangents of the gnomonic ones), cut evenly: at
order k a face has 2^k by 2^k cells of 90 / 2^k degrees, whose sides are great circles. On a face, a set of arcs lies
within the rectangle of its ends: that makes a cover cheap and provably complete.

A cell's key is (2 + face) * 4^order + place, place being the two indices with their bits interleaved. Keys of all
orders are distinct, a parent's key is `key >> 2`, and order 11 ends at 2^25.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adapters.sky.outlines import Outlines, assemble
from adapters.sky.sphere import TOLERANCE, Indices, Vectors

Keys = npt.NDArray[np.int64]

COARSEST = 3  # cells of 11.25 degrees, 384 for the whole sky
FINEST = 11  # cells of 2.6 arcmin: no common detector is so small that a finer order would help

# A cell reaches this much (radians) beyond its sides, so that what touches within TOLERANCE shares a cell whichever
# side of a border rounding puts it on. The face angles grow at most 1.23 times as fast as those on the sky.
MARGIN = 4 * TOLERANCE

_QUARTER = np.pi / 4
_FACES = 6

# AXES[face] are the rows (u, v, outward) of the face, so that AXES[face] @ vector gives coordinates on it.
AXES = np.array(
    [
        [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 1, 0], [0, 0, 1], [-1, 0, 0]],
        [[0, 0, 1], [1, 0, 0], [0, -1, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, -1]],
    ],
    dtype=np.float64,
)


def face_of(vectors: Vectors) -> Indices:
    """The face that each vector points at."""
    axis = np.argmax(np.abs(vectors), axis=1)
    faces: Indices = axis + 3 * (vectors[np.arange(len(vectors)), axis] < 0)
    return faces


def face_angles(faces: Indices, vectors: Vectors) -> tuple[Vectors, Vectors]:
    """The two angles (radians) of each vector on its face; within 45 degrees if it points at that face."""
    on_face = np.einsum("nij,nj->ni", AXES[faces], vectors)
    return np.arctan2(on_face[:, 0], on_face[:, 2]), np.arctan2(on_face[:, 1], on_face[:, 2])


def columns(angles: Vectors) -> Keys:
    """The index, along one side of the face, of the order-FINEST cell at each angle."""
    scaled = (angles + _QUARTER) * (2**FINEST / (2 * _QUARTER))
    indices: Keys = np.minimum(np.maximum(scaled.astype(np.int64), 0), 2**FINEST - 1)
    return indices


def keys_at(faces: Keys, i: Keys, j: Keys, order: Keys) -> Keys:
    """Keys of the cells in columns i and rows j of their order."""
    return ((2 + faces) << (2 * order)) | _spread(i) << 1 | _spread(j)


def point_keys(vectors: Vectors) -> Keys:
    """The order-FINEST cell that holds each vector."""
    faces = face_of(vectors)
    u, v = face_angles(faces, vectors)
    return keys_at(faces, columns(u), columns(v), np.full(len(faces), FINEST))


def children(keys: Keys) -> Keys:
    """The four cells that make up each."""
    return (keys[:, np.newaxis] * 4 + np.arange(4)).reshape(-1)


def whole_sky() -> Keys:
    """The six cells of order 0."""
    return np.arange(2, 2 + _FACES)


def cell_outlines(keys: Keys, order: int) -> Outlines:
    """The cells, all of one order, as polygons that reach MARGIN beyond their sides."""
    faces = (keys >> (2 * order)) - 2
    place = keys & ((1 << (2 * order)) - 1)
    i, j = _gather(place >> 1), _gather(place)
    step = 2 * _QUARTER / 2**order
    low_u, low_v = i * step - _QUARTER - MARGIN, j * step - _QUARTER - MARGIN
    high_u, high_v = low_u + step + 2 * MARGIN, low_v + step + 2 * MARGIN
    corners = np.ones((len(keys), 4, 3))
    corners[..., 0] = np.tan(np.column_stack([low_u, high_u, high_u, low_u]))
    corners[..., 1] = np.tan(np.column_stack([low_v, low_v, high_v, high_v]))
    corners /= np.sqrt(np.einsum("nci,nci->nc", corners, corners))[..., np.newaxis]
    vertices = np.einsum("nci,nij->ncj", corners, AXES[faces]).reshape(-1, 3)
    count = len(keys)
    return assemble(count, vertices, np.full(count, 4), np.arange(count), np.zeros(count, np.bool_))


def _spread(index: Keys) -> Keys:
    """A zero bit put before every bit of numbers below 2^16."""
    index = (index | index << 8) & 0x00FF00FF
    index = (index | index << 4) & 0x0F0F0F0F
    index = (index | index << 2) & 0x33333333
    return (index | index << 1) & 0x55555555


def _gather(spread: Keys) -> Keys:
    """Every other bit, from the lowest."""
    index = spread & 0x55555555
    index = (index | index >> 1) & 0x33333333
    index = (index | index >> 2) & 0x0F0F0F0F
    index = (index | index >> 4) & 0x00FF00FF
    return (index | index >> 8) & 0x0000FFFF
