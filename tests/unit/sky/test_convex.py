"""Half-spaces of convex regions: which regions have them, and that what they settle is what a closer look finds."""

from __future__ import annotations

from math import cos, degrees, pi, radians, sin
from random import Random

import numpy as np
import pytest

from adapters.sky.boxes import box_cells
from adapters.sky.convex import clearly_outside, convex_sides, settle
from adapters.sky.cover import QUERY_CELLS
from adapters.sky.cube import cell_outlines
from adapters.sky.outlines import outlines
from adapters.sky.relations import figure, intersecting
from domain.footprint import Footprint, Position
from tests.unit.sky.shapes import SKY, box, footprint, frame, region, ring


def circle(ra: float, dec: float, reach: float, corners: int, turn: float = 1) -> tuple[Position, ...]:
    """A polygon on a circle round a position, reach in degrees; turn -1 goes round it the other way."""
    found = []
    for step in range(corners):
        angle = turn * 2 * pi * step / corners
        up = sin(radians(dec)) * cos(radians(reach)) + cos(radians(dec)) * sin(radians(reach)) * cos(angle)
        y = sin(angle) * sin(radians(reach)) * cos(radians(dec))
        x = cos(radians(reach)) - sin(radians(dec)) * up
        found.append((ra + degrees(np.arctan2(y, x)), degrees(np.arcsin(up))))
    return ring(*found)


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("middle", [(10, 20), (359.9, 0), (120, 89.5), (45, -89.99), (45, 35.2644)])
@pytest.mark.parametrize(("reach", "corners"), [(0.01, 3), (1, 4), (5, 32), (60, 7)])
def test_convex_outlines_have_a_side_for_each_edge_whichever_way_round(
    middle: Position, reach: float, corners: int, turn: float
) -> None:
    sides = convex_sides(outlines([[circle(*middle, reach, corners, turn)]]))
    assert sides is not None
    assert sides.shape == (corners, 3)
    assert settle([Footprint((ring(middle, middle, middle),))], sides) == [True]


@pytest.mark.parametrize(
    "rings",
    [
        pytest.param([], id="nothing"),
        pytest.param([[box(0, 0, 4, 4), box(1, 1, 2, 2)]], id="a hole"),
        pytest.param([[box(0, 0, 4, 4)], [box(8, 0, 9, 1)]], id="two polygons"),
        pytest.param([[ring((0, 0), (4, 0), (2, 1), (4, 4), (0, 4))]], id="a dent"),
        pytest.param([[ring((0, 0), (4, 4), (4, 0), (0, 4))]], id="a bow tie"),
        pytest.param([[ring((0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (4, 0), (4, 4), (0, 4))]], id="twice around"),
        pytest.param([[ring(*(circle(9, 9, 3, 5)[step * 2 % 5] for step in range(5)))]], id="a star of five"),
        pytest.param([[ring((0, 0), (4, 0), (4, 0), (0, 4))]], id="an edge of no length"),
        pytest.param([[ring((0, 0), (4, 0), (2, 0))]], id="no width"),
        pytest.param([[ring((0, 0), (120, 0), (240, 0))]], id="a hemisphere"),
    ],
)
def test_other_outlines_have_none(rings: list[list[tuple[Position, ...]]]) -> None:
    assert convex_sides(outlines(rings)) is None


def test_points_and_lines_beside_a_polygon_take_a_closer_look() -> None:
    text = "GEOMETRYCOLLECTION(POLYGON((0 0, 4 0, 4 4, 0 4, 0 0)), {})"
    assert figure(region("POLYGON((0 0, 4 0, 4 4, 0 4, 0 0))")).sides is not None
    assert figure(region(text.format("POINT(9 9)"))).sides is None
    assert figure(region(text.format("LINESTRING(8 8, 9 9)"))).sides is None


@pytest.mark.parametrize("seed", range(8))
def test_what_is_settled_is_what_a_closer_look_finds(seed: int) -> None:
    chance = Random(seed)
    settled = 0
    for _ in range(40):
        ra, dec = chance.uniform(0, 360), chance.choice([chance.uniform(-89, 89), 89.99, -89.9, 0])
        reach = chance.choice([0.3, 3, 20])
        wanted = region(polygon(circle(ra, dec, reach, chance.randint(3, 9), chance.choice([1, -1]))))
        sides = figure(wanted).sides
        assert sides is not None
        places = [circle(ra, dec, reach * chance.uniform(0, 2.5), 9)[chance.randrange(9)] for _ in range(30)]
        frames = [Footprint((circle(*place, reach * chance.uniform(0.05, 1.5), 4),)) for place in places]
        exactly = intersecting(outlines([one.coordinates for one in frames]), figure(wanted)).tolist()
        for quick, closely in zip(settle(frames, sides), exactly, strict=True):
            assert quick in (None, closely)
            settled += quick is not None
        assert SKY.intersects_many(frames, wanted) == exactly
    assert settled > 0.8 * 40 * 30


def test_what_touches_the_boundary_isnt_settled() -> None:
    wanted = region("POLYGON((0 -2, 4 -2, 4 2, 0 2, 0 -2))")
    sides = figure(wanted).sides
    assert sides is not None
    touching = footprint(box(-1, -1, 0, 1))
    within = footprint(ring((0, -1), (2, -3), (-2, -3)))
    apart = footprint(box(-1, -1, -1e-6, 1))
    assert settle([touching, within, apart], sides) == [None, None, False]
    assert SKY.intersects_many([touching, within, apart], wanted) == [True, True, False]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(Footprint(()), id="no ring"),
        pytest.param(Footprint(((),)), id="no corner"),
        pytest.param(footprint(ring((float("inf"), 0), (1, 0), (1, 1))), id="infinite"),
        pytest.param(footprint(ring((float("nan"), 0), (1, 0), (1, 1))), id="not a number"),
    ],
)
def test_beside_a_footprint_that_makes_no_sense_others_are_looked_at_closely(odd: Footprint) -> None:
    wanted = region("POLYGON((0 0, 4 0, 4 4, 0 4, 0 0))")
    sides = figure(wanted).sides
    assert sides is not None
    assert settle([frame(2, 2), odd], sides) == [None, None]
    assert SKY.intersects_many([frame(2, 2), odd, frame(50, 2)], wanted) == [True, False, False]


def test_a_footprint_with_a_hole_is_looked_at_closely_and_others_beside_it_too() -> None:
    wanted = region("POLYGON((1.2 1.2, 1.8 1.2, 1.8 1.8, 1.2 1.8, 1.2 1.2))")
    holed = footprint(box(0, 0, 4, 4), box(1, 1, 2, 2))
    assert SKY.intersects_many([holed, frame(1.5, 1.5)], wanted) == [False, True]


@pytest.mark.parametrize("seed", range(4))
def test_no_cell_that_meets_a_convex_region_is_left_out_of_its_cover(seed: int) -> None:
    chance = Random(seed)
    kept = met = 0
    for _ in range(25):
        outline = circle(
            chance.uniform(0, 360), chance.uniform(-89, 89), chance.choice([0.2, 2, 12]), chance.randint(3, 9)
        )
        wanted = figure(region(polygon(outline)))
        assert wanted.sides is not None
        boxes, done = box_cells(wanted.corners, np.zeros(1, np.intp), 2 * QUERY_CELLS)
        if not done.all():
            continue
        cells = cell_outlines(boxes.key, int(boxes.order[0]))
        inside, closely = ~clearly_outside(cells.vertices, cells.starts, wanted.sides), intersecting(cells, wanted)
        assert not np.any(closely & ~inside)
        kept, met = kept + inside.sum(), met + closely.sum()
    assert met <= kept < 1.2 * met


def test_four_cells_that_make_up_one_are_asked_for_as_one() -> None:
    wide = SKY.query_keys(region(polygon(box(100, 20, 110, 30))))
    assert wide is not None
    orders = {(key.bit_length() - 2) // 2 for key in wide if key < 0}
    assert len(orders) > 1
    assert sum(key < 0 for key in wide) < QUERY_CELLS


def polygon(outline: tuple[Position, ...]) -> str:
    return f"POLYGON(({', '.join(f'{float(ra)!r} {float(dec)!r}' for ra, dec in outline)}))"
