"""Covers of cells: the keys that are stored with a footprint, and those that a query asks for.

Stored are a footprint's own cells ("leaves", positive) and all their ancestors down to order COARSEST (negative). A
query asks for its cells and their ancestors as leaves (footprints with cells that hold the query's) and for its own
cells as ancestors (footprints with smaller cells within the query's).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from adapters.sky.boxes import box_cells
from adapters.sky.convex import clearly_outside
from adapters.sky.cube import COARSEST, FINEST, Keys, cell_outlines, children, point_keys, whole_sky
from adapters.sky.outlines import outlines
from adapters.sky.relations import Figure, figure, intersecting
from adapters.sky.sphere import Vectors
from application.ports.sky import Region
from domain.footprint import Footprint

# Most leaves of a footprint, unless cells of order COARSEST are already more. With nine, a square's cells have sides
# from about half of its own; a frame of 26 arcmin has 6.5 leaves and 15 keys on average over the sky.
LEAVES = 9

# Most cells of a query's cover, with the same exception. More would shorten the list of candidates for a long line
# or a ragged outline, and lengthen the search for it in the index.
QUERY_CELLS = 64


def footprint_keys(footprints: Sequence[Footprint]) -> list[list[int]]:
    """The keys to store with each footprint, sorted. Holes are left out of account: they only spare candidates."""
    rings = outlines([footprint.coordinates[:1] for footprint in footprints])
    keys: list[list[int]] = [[] for _ in footprints]
    if len(rings.starts) == 0:
        return keys
    boxes, done = box_cells(rings.vertices, rings.starts, LEAVES)
    _distribute(rings.owner[boxes.owner], boxes.key, boxes.order, keys)
    for number in rings.owner[~done]:
        region = Region(polygons=(footprints[number].coordinates[:1],))
        cells, order = _refined(figure(region), LEAVES)
        _distribute(np.full(len(cells), number), cells, np.full(len(cells), order), keys)
    return keys


def query_keys(region: Figure, representative: bool) -> list[int] | None:
    """The keys to ask for; None if the region is empty.

    With `representative`, one point stands for the region: enough where a footprint must hold all of it.
    """
    if len(region.corners) == 0:
        return None
    if representative or len(region.begins) == 0:
        cells, order = _point_cells(region.corners[:1] if representative else region.corners)
    else:
        cells, order = _region_cells(region)
    keys: set[int] = set()
    for some, their_order in _merged(set(cells.tolist()), order):
        keys.update(key >> 2 * up for key in some for up in range(their_order - COARSEST + 1))
        if their_order < FINEST:
            keys.update(-key for key in some)
    return sorted(keys)


def share(keys: Sequence[int]) -> float:
    """How much of the sky a query's cells fill, 1 being all of it. Those of order FINEST count for nothing."""
    orders = ((key.bit_length() - 2) // 2 for key in keys if key < 0)
    return sum(float(4**-order) / 6 for order in orders)


def _merged(cells: set[int], order: int) -> Iterator[tuple[set[int], int]]:
    """The same cover with one cell for each four that make it up, and so on: less than half as many to look for."""
    while order > COARSEST:
        whole = {
            parent for parent in {cell >> 2 for cell in cells} if cells.issuperset(range(4 * parent, 4 * parent + 4))
        }
        yield {cell for cell in cells if cell >> 2 not in whole}, order
        cells, order = whole, order - 1
    yield cells, order


def _point_cells(points: Vectors) -> tuple[Keys, int]:
    """The cells that hold the points, and their order. What lies beside a point is the stored cells' concern."""
    cells = np.unique(point_keys(points))
    order = FINEST
    while len(cells) > QUERY_CELLS and order > COARSEST:
        cells, order = np.unique(cells >> 2), order - 1
    return cells, order


def _region_cells(region: Figure) -> tuple[Keys, int]:
    """The region's cover and the order of its cells."""
    # Half of a box is empty where it lies askew, so twice as many cells may be tried as are wanted.
    boxes, done = box_cells(region.corners, np.zeros(1, np.intp), 2 * QUERY_CELLS)
    if not done.all():
        return _refined(region, QUERY_CELLS)
    order = int(boxes.order[0])
    cells = cell_outlines(boxes.key, order)
    met = (
        intersecting(cells, region)
        if region.sides is None
        else ~clearly_outside(cells.vertices, cells.starts, region.sides)
    )
    return boxes.key[met], order


def _distribute(owner: Keys, leaves: Keys, order: Keys, keys: list[list[int]]) -> None:
    """Give each owner its leaves and their ancestors, sorted."""
    low_half = 1 << 32
    offset = 1 << 31
    found = [owner * low_half + leaves + offset]
    while len(owner):
        below = order > COARSEST
        owner, leaves, order = owner[below], leaves[below] >> 2, order[below] - 1
        marked, first = np.unique(owner * low_half - leaves + offset, return_index=True)
        owner, leaves, order = owner[first], leaves[first], order[first]
        found.append(marked)
    every = np.sort(np.concatenate(found))
    owners = every // low_half
    values = (every % low_half - offset).tolist()
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    bounds = [*starts.tolist(), len(values)]
    for number, (start, end) in zip(owners[starts].tolist(), pairwise(bounds), strict=True):
        keys[number] = values[start:end]


def _refined(region: Figure, most: int) -> tuple[Keys, int]:
    """The cells that meet the region, of the finest order with no more than `most`, and at least of order COARSEST;
    and that order."""
    cells = whole_sky()
    for order in range(FINEST + 1):
        finer = children(cells) if order else cells
        finer = finer[intersecting(cell_outlines(finer, order), region)]
        if order > COARSEST and len(finer) > most:
            return cells, order - 1
        cells = finer
    return cells, FINEST
