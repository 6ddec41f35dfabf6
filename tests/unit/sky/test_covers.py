"""What `covers=` promises: contract section 1.6.2."""

from __future__ import annotations

import struct

import pytest

from domain.footprint import Footprint
from tests.unit.sky.shapes import SKY, box, covers, footprint, frame, region, ring

SQUARE = footprint(box(0, 0, 10, 10))
HOLED = footprint(box(0, 0, 10, 10), box(4, 4, 6, 6))


@pytest.mark.parametrize(("point", "inside"), [("5 10.02", True), ("5 10.05", False), ("5 -0.001", False)])
def test_edges_are_great_circles_and_not_lines_of_equal_declination(point: str, inside: bool) -> None:
    assert covers(SQUARE, f"POINT({point})") is inside


@pytest.mark.parametrize("ra", [5, 365, -355, 725])
@pytest.mark.parametrize("turn", [0, 360, -360, 720])
def test_any_turn_of_right_ascension_means_the_same_place(ra: float, turn: float) -> None:
    assert covers(footprint(box(0 + turn, 0, 10 + turn, 10)), f"POINT({ra} 5)")


@pytest.mark.parametrize("area", [box(350, -5, 10, 5), box(-10, -5, 10, 5), box(350, -5, 370, 5)])
def test_a_frame_from_350_to_10_covers_0_and_not_340(area: tuple[tuple[float, float], ...]) -> None:
    assert [covers(footprint(area), f"POINT({ra} 0)") for ra in (0, 360, 359.9, 340, 20, 180)] == [True] * 3 + [
        False
    ] * 3


@pytest.mark.parametrize("sign", [1, -1])
def test_a_ring_round_a_pole_covers_the_pole(sign: int) -> None:
    cap = footprint(ring(*[(ra, sign * 80) for ra in range(0, 360, 30)]))
    assert [covers(cap, f"POINT({ra} {sign * dec})") for ra, dec in ((100, 89), (0, 90), (77, 90), (10, 79))] == [
        True,
        True,
        True,
        False,
    ]
    assert not covers(cap, f"POINT(100 {-sign * 89})")


def test_a_declination_beyond_the_pole_is_over_it() -> None:
    assert covers(footprint(box(0, 85, 10, 95)), "POINT(185 88)") is covers(
        footprint(box(0, 85, 10, 95)), "POINT(5 92)"
    )
    assert covers(footprint(ring((0, 85), (10, 85), (10, 95), (0, 95))), "POINT(0 95)")


def test_holes_are_respected_and_their_boundary_counts() -> None:
    assert not covers(HOLED, "POINT(5 5)")
    assert covers(HOLED, "POINT(4 5)")
    assert covers(HOLED, "POINT(4 4)")
    assert covers(HOLED, "POINT(3.9 5)")


def test_the_boundary_counts_as_covered() -> None:
    for point in ("0 0", "10 10", "0 5", "10 3.7", "5 0"):
        assert covers(SQUARE, f"POINT({point})")


def test_a_milliarcsecond_beyond_the_boundary_counts_and_ten_do_not() -> None:
    mas = 1 / 3.6e6
    assert covers(SQUARE, f"POINT(5 {-0.9 * mas:.12f})")
    assert not covers(SQUARE, f"POINT(5 {-10 * mas:.12f})")
    assert covers(SQUARE, f"POINT({-0.9 * mas:.12f} 0)")


@pytest.mark.parametrize("area", [box(0, 0, 10, 10), box(0, 0, 10, 10)[::-1]])
def test_the_smaller_side_is_inside_whichever_way_round_it_was_drawn(area: tuple[tuple[float, float], ...]) -> None:
    assert covers(footprint(area), "POINT(5 5)")
    assert not covers(footprint(area), "POINT(185 -5)")
    assert not covers(footprint(area), "POINT(90 50)")


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("MULTIPOINT(1 1, 9 9)", True),
        ("MULTIPOINT((1 1), (11 9))", False),
        ("LINESTRING(1 1, 9 9)", True),
        ("LINESTRING(1 1, 11 9)", False),
        ("LINESTRING(0 10, 10 10)", True),
        ("MULTILINESTRING((1 1, 2 2), (3 3, 30 3))", False),
        ("POLYGON((1 1, 2 1, 2 2, 1 2, 1 1))", True),
        ("POLYGON((0 0, 10 0, 10 10, 0 10, 0 0))", True),
        ("POLYGON((10 0, 0 0, 0 10, 10 10, 10 0))", True),
        ("POLYGON((-1 -1, 11 -1, 11 11, -1 11, -1 -1))", False),
        ("MULTIPOLYGON(((1 1, 2 1, 2 2, 1 1)), ((3 3, 4 3, 4 4, 3 3)))", True),
        ("GEOMETRYCOLLECTION(POINT(1 1), LINESTRING(2 2, 3 3))", True),
        ("GEOMETRYCOLLECTION(POINT(1 1), POINT(20 20))", False),
        ("GEOMETRYCOLLECTION(POINT EMPTY, POINT(1 1))", True),
    ],
)
def test_every_kind_of_region_is_covered_as_a_whole_or_not_at_all(text: str, inside: bool) -> None:
    assert covers(SQUARE, text) is inside


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("LINESTRING(1 5, 9 5)", False),
        ("LINESTRING(4 4, 6 4)", True),
        ("LINESTRING(4 4, 4 6)", True),
        ("LINESTRING(1 1, 9 1)", True),
        ("POLYGON((1 1, 9 1, 9 9, 1 9, 1 1))", False),
        ("POLYGON((4 4, 6 4, 6 6, 4 6, 4 4))", False),
        ("POLYGON((4.5 4.5, 5 4.5, 5 5, 4.5 4.5))", False),
        ("POLYGON((1 1, 3 1, 3 3, 1 3, 1 1))", True),
        ("POLYGON((1 1, 9 1, 9 9, 1 9, 1 1), (3 3, 7 3, 7 7, 3 7, 3 3))", True),
        ("POLYGON((1 1, 9 1, 9 9, 1 9, 1 1), (4.5 4.5, 5.5 4.5, 5.5 5.5, 4.5 5.5, 4.5 4.5))", False),
        ("POLYGON((0 0, 10 0, 10 10, 0 10, 0 0), (4 4, 6 4, 6 6, 4 6, 4 4))", True),
    ],
)
def test_a_hole_takes_its_part_out_of_lines_and_polygons(text: str, inside: bool) -> None:
    assert covers(HOLED, text) is inside


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("LINESTRING(1 9, 9 9)", False),
        ("LINESTRING(0 10, 10 10)", False),
        ("LINESTRING(1 9, 1 1, 9 1, 9 9)", True),
        ("POLYGON((1 1, 9 1, 9 9, 1 1))", False),
        ("POLYGON((1 0.5, 9 0.5, 9 1.5, 1 1.5, 1 0.5))", True),
        ("LINESTRING(1 2, 9 2)", True),
    ],
)
def test_a_notch_is_outside(text: str, inside: bool) -> None:
    notched = footprint(ring((0, 0), (10, 0), (10, 10), (8, 10), (5, 2.5), (2, 10), (0, 10)))
    assert covers(notched, text) is inside


@pytest.mark.parametrize("text", ["POINT EMPTY", "POINT(NaN NaN)", "POINT(5 NaN)", "MULTIPOINT EMPTY", "POLYGON EMPTY"])
def test_nothing_and_nowhere_match_nothing(text: str) -> None:
    assert not covers(SQUARE, text)
    assert not SKY.intersects(SQUARE, region(text))
    assert SKY.query_keys(region(text)) is None
    assert SKY.query_keys(region(text), "covers") is None


def test_all_notations_of_one_point_find_the_same() -> None:
    plain = struct.pack("<BIdd", 1, 1, 5, 5).hex()
    extended = struct.pack(">BIIdd", 0, 0x20000001, 4326, 5, 5).hex()
    for text in ("POINT(5 5)", "point ( 5\t5 )", "SRID=4326;POINT(5 5)", "POINT Z (5 5 9)", "POINTZM(5 5 9 9)", plain,
                 extended, extended.upper(), '{"type": "Point", "coordinates": [5, 5]}'):  # fmt: skip
        assert region(text).points == ((5.0, 5.0),)
        assert covers(SQUARE, text)


def test_many_frames_are_answered_in_order() -> None:
    frames = [frame(150 + step, 20) for step in range(-5, 6)]
    assert SKY.covers_many(frames, region("POINT(150 20)")) == [step == 0 for step in range(-5, 6)]
    assert SKY.covers_many([], region("POINT(150 20)")) == []


NONSENSE = {
    "no ring": (),
    "an empty ring": ((),),
    "a hole of nothing": (box(0, 0, 10, 10), ()),
    "not a number": (ring((0, 0), (float("nan"), 0), (10, 10)),),
    "infinite": (ring((0, 0), (float("inf"), 0), (10, 10)),),
    "an infinite hole": (box(0, 0, 10, 10), ring((0, 0), (float("-inf"), 0), (10, 10))),
    "huge": (ring((0, 0), (1.7e308, 1.7e308), (-1.7e308, 3)),),
    "one position": (((5.0, 5.0),),),
    "one place": (ring((5, 5), (5, 5), (5, 5)),),
    "a line": (ring((0, 0), (5, 0), (10, 0)),),
    "not closed": (((0.0, 0.0), (10.0, 0.0), (10.0, 10.0)),),
    "crossing itself": (ring((0, 0), (10, 10), (10, 0), (0, 10)),),
    "a great circle": (ring((0, 0), (120, 0), (240, 0)),),
    "opposite ends": (ring((0, 0), (180, 0), (90, 10)),),
    "the whole sky": (ring((0, -90), (360, -90), (360, 90), (0, 90)),),
    "half the sky": (ring((0, -90), (180, -90), (180, 90), (0, 90)),),
    "far wider than the sky": (box(-1000, -300, 5000, 300),),
}


@pytest.mark.parametrize("rings", NONSENSE.values(), ids=NONSENSE.keys())
def test_a_footprint_that_makes_no_sense_gives_an_answer_and_never_an_error(rings: object) -> None:
    area = Footprint(rings)  # type: ignore[arg-type]
    keys = SKY.cells(area)
    assert keys == sorted(set(keys))
    SKY.normalise(area)
    for text in ("POINT(5 5)", "POINT(0 90)", "LINESTRING(1 1, 200 3)", "POLYGON((1 1, 9 1, 9 9, 1 1))"):
        covers(area, text)
        intersects_too = SKY.intersects(area, region(text))
        assert SKY.intersects_many([SQUARE, area], region(text))[1] is intersects_too


def test_a_footprint_without_finite_coordinates_matches_nothing() -> None:
    for name in ("not a number", "infinite", "no ring", "an empty ring"):
        assert SKY.cells(Footprint(NONSENSE[name])) == []
        assert not covers(Footprint(NONSENSE[name]), "POINT(5 5)")


def test_pole_to_pole_runs_along_the_meridian_that_was_written() -> None:
    lune = footprint(ring((10, -90), (10, 90), (30, 90), (30, -90)))
    assert [covers(lune, f"POINT({ra} 20)") for ra in (9, 10, 20, 30, 31, 200)] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]
    assert covers(frame(20, 0, 5), "LINESTRING(20 -2, 20 2)")
    assert SKY.intersects(frame(20, 0, 5), region("LINESTRING(20 -90, 20 90)"))
    assert not SKY.intersects(frame(20, 0, 5), region("LINESTRING(30 -90, 30 90)"))


def test_a_band_wider_than_a_hemisphere_has_its_smaller_side_inside() -> None:
    north = [(ra, 10) for ra in range(0, 241, 20)]
    south = [(ra, -10) for ra in range(240, -1, -20)]
    band = footprint(ring(*north, *south))
    assert [covers(band, f"POINT({ra} 2)") for ra in (1, 120, 239, 241, 300, 359)] == [True] * 3 + [False] * 3
    assert covers(band, "LINESTRING(1 0, 100 0, 200 0)")
    assert covers(band, "POLYGON((50 -5, 60 -5, 60 5, 50 5, 50 -5))")
    assert not covers(band, "LINESTRING(200 0, 300 0)")
