"""Quick covers of small things: rectangles of cells, from the least and greatest angles on each face of the cube.

On a face arcs are straight, so a set of arcs and whatever they enclose lie within the rectangle of their ends. That
holds beyond the face's border too, as long as all ends are in the hemisphere before it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adapters.sky.cube import AXES, COARSEST, FINEST, MARGIN, Keys, columns, face_angles, face_of, keys_at
from adapters.sky.sphere import Indices, Mask, Vectors, dot, unit

# Within 8 degrees of its middle a set either lies wholly before a face (all ends less than 84 degrees from its axis)
# or, no two ends being more than 16 degrees apart, beyond 68 degrees from the axis, where the face has no part.
_SMALL = float(np.cos(np.radians(8.0)))
_BEFORE = float(np.cos(np.radians(84.0)))
_BORDER = np.pi / 4


class Boxes(NamedTuple):
    """Row by row: a cell `key` of order `order` that belongs to the cover of set `owner`."""

    owner: Indices
    key: Keys
    order: Keys


class _Rectangles(NamedTuple):
    owner: Indices
    face: Indices
    low_u: Vectors
    high_u: Vectors
    low_v: Vectors
    high_v: Vectors

    def only(self, rows: Mask) -> _Rectangles:
        return _Rectangles._make(column[rows] for column in self)


def box_cells(vertices: Vectors, starts: Indices, most: int) -> tuple[Boxes, Mask]:
    """Covers of sets of arcs, each given by its ends from `starts` on, of at most `most` cells of one order.

    Each cover has the finest order that allows that, or order COARSEST. Also tells which sets were covered: not
    those that are neither small nor within one face.
    """
    sizes = np.diff(np.append(starts, len(vertices)))
    within = _rectangles(np.arange(len(starts)), face_of(vertices[starts]), vertices, starts, sizes)
    reach = np.maximum(np.maximum(-within.low_u, within.high_u), np.maximum(-within.low_v, within.high_v))
    done: Mask = reach < _BORDER - MARGIN
    if done.all():
        return _cells(within, most), done
    rectangles = [within.only(done)]
    others = np.flatnonzero(~done & _small(vertices, starts, sizes))
    if len(others):
        corners = vertices[np.repeat(np.isin(np.arange(len(starts)), others), sizes)]
        own_starts = np.cumsum(sizes[others]) - sizes[others]
        rectangles += [_on_face(face, others, corners, own_starts, sizes[others]) for face in range(len(AXES))]
        done[others] = True
    return _cells(_Rectangles._make(map(np.concatenate, zip(*rectangles, strict=True))), most), done


def _small(vertices: Vectors, starts: Indices, sizes: Indices) -> Mask:
    middles = unit(np.add.reduceat(vertices, starts, axis=0))
    small: Mask = np.minimum.reduceat(dot(vertices, np.repeat(middles, sizes, axis=0)), starts) > _SMALL
    return small


def _on_face(face: int, owners: Indices, vertices: Vectors, starts: Indices, sizes: Indices) -> _Rectangles:
    """The rectangles of those of the sets that lie before the face and may have a part on it."""
    rectangles = _rectangles(owners, np.full(len(owners), face), vertices, starts, sizes)
    before = np.minimum.reduceat(vertices @ AXES[face, 2], starts) > _BEFORE
    _, _, low_u, high_u, low_v, high_v = rectangles
    border = _BORDER + MARGIN
    return rectangles.only(before & (low_u < border) & (high_u > -border) & (low_v < border) & (high_v > -border))


def _rectangles(owners: Indices, faces: Indices, vertices: Vectors, starts: Indices, sizes: Indices) -> _Rectangles:
    u, v = face_angles(np.repeat(faces, sizes), vertices)
    low, high = np.minimum.reduceat, np.maximum.reduceat
    return _Rectangles(owners, faces, low(u, starts), high(u, starts), low(v, starts), high(v, starts))


def _cells(rectangles: _Rectangles, most: int) -> Boxes:
    owner, face, low_u, high_u, low_v, high_v = rectangles
    i0, i1, j0, j1 = columns(np.stack([low_u - MARGIN, high_u + MARGIN, low_v - MARGIN, high_v + MARGIN]))
    shift = _least_shift(owner, (i0, i1, j0, j1), most)
    i0, i1, j0, j1 = (index >> shift for index in (i0, i1, j0, j1))
    high = j1 - j0 + 1
    counts = high * (i1 - i0 + 1)
    row = np.repeat(np.arange(len(owner)), counts)
    cell = np.arange(len(row)) - (np.cumsum(counts) - counts)[row]
    across, along = np.divmod(cell, high[row])
    order = (FINEST - shift)[row]
    return Boxes(owner[row], keys_at(face[row], i0[row] + across, j0[row] + along, order), order)


def _least_shift(owner: Indices, bounds: tuple[Keys, Keys, Keys, Keys], most: int) -> Keys:
    """By how many orders each rectangle must be coarser than FINEST for its owner to have at most `most` cells."""
    shifts = np.arange(FINEST - COARSEST + 1)[:, np.newaxis]
    i0, i1, j0, j1 = (index >> shifts for index in bounds)
    counts = (i1 - i0 + 1) * (j1 - j0 + 1)
    owners = int(owner.max(initial=-1)) + 1
    totals = np.bincount((owner + owners * shifts).ravel(), counts.ravel(), minlength=owners * len(shifts))
    fits = totals.reshape(len(shifts), owners)[:, owner] <= most
    fits[-1] = True
    shift: Keys = np.argmax(fits, axis=0)
    return shift
