"""The keys: few, bounded, the same every time, and never too few to be found by."""

from __future__ import annotations

from adapters.sky.cube import COARSEST, FINEST
from tests.unit.sky.shapes import SKY, box, footprint, frame, region, ring

EVERYWHERE = [frame(ra, dec) for ra in range(0, 360, 7) for dec in range(-88, 89, 8)]


def _order(key: int) -> int:
    return (abs(key).bit_length() - 2) // 2


def test_a_frame_of_26_arcmin_has_at_most_nine_leaves_wherever_it_is() -> None:
    for keys in SKY.cells_many(EVERYWHERE):
        leaves = [key for key in keys if key > 0]
        assert 1 <= len(leaves) <= 9
        assert {_order(leaf) for leaf in leaves} <= {7, 8, 9}


def test_keys_are_sorted_distinct_and_fit_32_bits() -> None:
    for keys in SKY.cells_many([*EVERYWHERE, frame(10, 10, 0.001)]):
        assert keys == sorted(set(keys))
        assert -(2**31) <= keys[0] <= keys[-1] < 2**31


def test_every_leaf_has_all_its_ancestors_and_no_other_key_is_stored() -> None:
    for keys in SKY.cells_many([*EVERYWHERE, footprint(box(0, 0, 60, 60)), footprint(box(40, -5, 50, 5))]):
        leaves = {key for key in keys if key > 0}
        ancestors = {leaf >> 2 * up for leaf in leaves for up in range(1, _order(leaf) - COARSEST + 1)}
        assert {-key for key in keys if key < 0} == ancestors


def test_a_batch_gives_each_footprint_the_keys_it_gets_alone() -> None:
    some = [
        *EVERYWHERE[::40],
        footprint(),
        footprint(box(0, -80, 200, 80)),
        footprint(box(40, 30, 50, 40)),
        frame(0, 90),
    ]
    assert SKY.cells_many(some) == [SKY.cells(each) for each in some]


def test_tiny_footprints_get_the_finest_cells_and_huge_ones_the_coarsest() -> None:
    assert {_order(key) for key in SKY.cells(frame(10, 10, 1 / 3600)) if key > 0} == {FINEST}
    cap = footprint(ring(*[(ra, -5) for ra in range(0, 360, 20)]))
    assert {_order(key) for key in SKY.cells(cap)} == {COARSEST}
    assert 150 < len(SKY.cells(cap)) < 384


def test_a_point_asks_for_nine_keys() -> None:
    assert len(SKY.query_keys(region("POINT(10 10)")) or ()) == 9
    assert len(SKY.query_keys(region("POLYGON((0 0, 9 0, 9 9, 0 0))"), "covers") or ()) == 9


def test_a_query_never_asks_for_more_than_the_whole_sky_at_the_coarsest_order() -> None:
    third = "((0 90, 0 0, 120 0, 0 90)), ((0 90, 120 0, 240 0, 0 90)), ((0 90, 240 0, 0 0, 0 90))"
    everything = f"MULTIPOLYGON({third}, {third.replace('90', '-90')})"
    keys = SKY.query_keys(region(everything))
    assert keys is not None
    assert len(keys) == 768
    points = "MULTIPOINT(" + ",".join(f"{ra} {dec}" for ra in range(0, 360, 5) for dec in range(-85, 90, 5)) + ")"
    for text in (points, "LINESTRING(0 -80, 90 80, 200 -70, 300 60)", "POLYGON((0 0, 3 0, 3 3, 0 0))"):
        assert len(SKY.query_keys(region(text)) or ()) <= 768


def test_keys_narrow_the_search_to_a_few_times_what_matches() -> None:
    frames = [frame(150 + ra / 10, 20 + dec / 10) for ra in range(-30, 31) for dec in range(-30, 31)]
    wanted = set(SKY.query_keys(region("POINT(150.03 20.04)")) or ())
    candidates = sum(bool(wanted & set(keys)) for keys in SKY.cells_many(frames))
    matches = sum(SKY.covers_many(frames, region("POINT(150.03 20.04)")))
    assert matches <= candidates <= 6 * matches


def test_a_leaf_of_one_is_never_the_ancestor_mark_of_another() -> None:
    near, far = frame(10, 10, 20), frame(10, 10, 0.01)
    assert not {key for key in SKY.cells(near) if key > 0} & {key for key in SKY.cells(far) if key < 0}
    assert SKY.intersects(near, region("POINT(10 10)"))
