"""What `intersects=` promises: contract section 1.6.2."""

from __future__ import annotations

import pytest

from tests.unit.sky.shapes import SKY, box, covers, footprint, frame, intersects, region, ring

SQUARE = footprint(box(0, 0, 10, 10))
HOLED = footprint(box(0, 0, 10, 10), box(4, 4, 6, 6))


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("POINT(5 5)", True),
        ("POINT(10 10)", True),
        ("POINT(11 10)", False),
        ("MULTIPOINT(20 20, 5 5)", True),
        ("LINESTRING(-5 5, 15 5)", True),
        ("LINESTRING(2 2, 3 3)", True),
        ("LINESTRING(10 -5, 10 20)", True),
        ("LINESTRING(-5 0, -1 5)", False),
        ("LINESTRING(10 10, 20 20)", True),
        ("POLYGON((2 2, 3 2, 3 3, 2 2))", True),
        ("POLYGON((-9 -9, 20 -9, 20 20, -9 20, -9 -9))", True),
        ("POLYGON((10 0, 20 0, 20 10, 10 10, 10 0))", True),
        ("POLYGON((-5 4, 15 4, 15 6, -5 6, -5 4))", True),
        ("POLYGON((10.1 0, 20 0, 20 10, 10.1 10, 10.1 0))", False),
        ("POLYGON((-9 -9, 20 -9, 20 20, -9 20, -9 -9), (-5 -5, 15 -5, 15 15, -5 15, -5 -5))", False),
        ("MULTIPOLYGON(((30 0, 40 0, 40 9, 30 0)), ((2 2, 3 2, 3 3, 2 2)))", True),
        ("GEOMETRYCOLLECTION(POINT(50 50), LINESTRING(-5 5, 15 5))", True),
        ("POLYGON((185 -1, 190 -1, 190 -5, 185 -1))", False),
    ],
)
def test_any_common_point_is_enough_and_touching_counts(text: str, met: bool) -> None:
    assert intersects(SQUARE, text) is met


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("POINT(5 5)", False),
        ("LINESTRING(4.5 4.5, 5.5 5.5)", False),
        ("LINESTRING(4.5 4.5, 6 5)", True),
        ("POLYGON((4.5 4.5, 5.5 4.5, 5.5 5.5, 4.5 4.5))", False),
        ("POLYGON((3 3, 7 3, 7 7, 3 7, 3 3))", True),
        ("POLYGON((4 4, 6 4, 6 6, 4 6, 4 4))", True),
    ],
)
def test_what_lies_in_a_hole_does_not_intersect(text: str, met: bool) -> None:
    assert intersects(HOLED, text) is met


def test_a_long_line_meets_the_frames_along_its_great_circle() -> None:
    frames = [frame(ra, dec) for ra, dec in ((40, 0), (40, 26.3), (40, 36.8), (130, 0))]
    line = region("LINESTRING(0 30, 80 30)")
    assert SKY.intersects_many(frames, line) == [False, False, True, False]


def test_regions_across_the_pole_and_across_ra_zero_are_met() -> None:
    assert intersects(frame(0, 89.9), "POLYGON((0 80, 120 80, 240 80, 0 80))")
    assert intersects(frame(359.9, 0), "LINESTRING(-1 0, 1 0)")
    assert intersects(frame(0.1, 0), "POLYGON((359 -1, 1 -1, 1 1, 359 1, 359 -1))")


def test_most_of_the_sky_as_a_region_finds_a_frame_only_on_its_smaller_side() -> None:
    cap = "POLYGON((" + ", ".join(f"{ra} -5" for ra in (*range(0, 360, 30), 0)) + "))"
    assert intersects(frame(10, -60), cap)
    assert not intersects(frame(10, 60), cap)


def test_a_frame_in_the_hole_of_a_region_is_not_met_but_one_across_its_rim_is() -> None:
    text = "POLYGON((-9 -9, 20 -9, 20 20, -9 20, -9 -9), (0 0, 5 0, 5 5, 0 5, 0 0))"
    assert not intersects(frame(2.5, 2.5), text)
    assert intersects(frame(0, 2.5), text)
    assert not covers(frame(0, 2.5), text)


def test_two_slivers_that_only_cross_have_a_point_in_common() -> None:
    sliver = footprint(ring((0, 0), (10, 0.001), (10, -0.001)))
    assert intersects(sliver, "POLYGON((5 -1, 5.001 -1, 5.001 1, 5 1, 5 -1))")
