"""Sky geometry on random input: nothing that matches is missed, and inside is what another method says it is."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sky import SphericalSky
from application.ports.sky import Region
from domain.errors import InvalidGeometry
from domain.footprint import Footprint, Position, Ring

SKY = SphericalSky()
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Star:
    """A star-shaped outline round a middle: directions (radians, ascending) and reaches in them (degrees)."""

    middle: Position
    directions: tuple[float, ...]
    reaches: tuple[float, ...]

    def place(self, direction: float, reach: float) -> Position:
        """The position that far from the middle in that direction."""
        ra, dec = np.radians(self.middle)
        out = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
        east = np.array([-np.sin(ra), np.cos(ra), 0.0])
        north = np.cross(out, east)
        reach = np.radians(reach)
        x, y, z = np.cos(reach) * out + np.sin(reach) * (np.cos(direction) * east + np.sin(direction) * north)
        return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))

    def ring(self, scale: float = 1.0, turns: int = 0) -> Ring:
        """The outline, or a smaller or larger copy of it, with so many turns of RA added."""
        corners = [
            self.place(direction, _scaled(reach, scale))
            for direction, reach in zip(self.directions, self.reaches, strict=True)
        ]
        closed = [*corners, corners[0]]
        return tuple((ra + 360.0 * turns, dec) for ra, dec in closed)


def _scaled(reach: float, scale: float) -> float:
    """Scaled in the tangent plane, where edges stay edges."""
    return float(np.degrees(np.arctan(np.tan(np.radians(reach)) * scale)))


middles = st.one_of(
    st.tuples(st.floats(-400, 800), st.floats(-90, 90)),
    st.tuples(st.floats(0, 360), st.sampled_from([-90.0, -89.9, 89.99, 90.0, 0.0, 45.0, 35.2644])),
    st.tuples(st.sampled_from([0.0, 45.0, 90.0, 180.0, 225.0, 360.0]), st.floats(-90, 90)),
)


@st.composite
def stars(draw: st.DrawFn, widest: float = 70.0, around: Position | None = None) -> Star:
    number = draw(st.integers(3, 8))
    offset = draw(st.floats(0, 6))
    # No gap reaches half a turn, so that the middle is well inside.
    wobble = draw(st.lists(st.floats(-0.2, 0.2), min_size=number, max_size=number))
    size = draw(
        st.sampled_from([1e-5, 1e-3, 0.05, 0.3, 1.0, 4.0, 15.0, 40.0, 70.0]).filter(lambda size: size <= widest)
    )
    reaches = draw(st.lists(st.floats(0.3, 1.0), min_size=number, max_size=number))
    middle = around or draw(middles)
    directions = tuple(offset + 2 * np.pi * (step + wobble[step]) / number for step in range(number))
    return Star(middle, directions, tuple(size * reach for reach in reaches))


@st.composite
def areas(draw: st.DrawFn) -> tuple[Star, Footprint]:
    star = draw(stars())
    rings = [star.ring(turns=draw(st.integers(-1, 2)))]
    if draw(st.booleans()):
        rings.append(star.ring(scale=draw(st.floats(0.1, 0.9))))
    if draw(st.booleans()):
        rings = [ring[::-1] for ring in rings]
    return star, Footprint(tuple(rings))


raw_positions = st.tuples(st.floats(-720, 720), st.floats(-100, 100))
raw_rings = st.lists(raw_positions, min_size=3, max_size=9).map(lambda ring: (*ring, ring[0]))


@st.composite
def regions(draw: st.DrawFn, star: Star, area: Footprint) -> Region:
    """Something that has to do with the area: at, in, across or about it."""
    corners = [position for ring in area.coordinates for position in ring]
    inner = st.builds(
        lambda edge, reach: star.place(star.directions[edge], _scaled(star.reaches[edge], reach)),
        st.integers(0, len(star.directions) - 1),
        st.floats(0, 1.5),
    )
    position = st.one_of(inner, st.sampled_from(corners))
    match draw(st.integers(0, 4)):
        case 0:
            return Region(points=tuple(draw(st.lists(position, min_size=1, max_size=3))))
        case 1:
            return Region(lines=(tuple(draw(st.lists(position, min_size=2, max_size=4))),))
        case 2:
            return Region(polygons=((star.ring(scale=draw(st.floats(0.05, 3))),),))
        case 3:
            other = draw(stars(around=draw(position)))
            return Region(polygons=((other.ring(), other.ring(0.5)),))
        case _:
            return Region(points=(draw(position),), polygons=((draw(raw_rings),),))


def assert_found(area: Footprint, region: Region) -> None:
    stored = set(SKY.cells(area))
    if SKY.intersects(area, region):
        assert stored & set(SKY.query_keys(region) or ())
    if SKY.covers(area, region):
        assert SKY.intersects(area, region)
        assert stored & set(SKY.query_keys(region, "covers") or ())
        assert stored & set(SKY.query_keys(region) or ())


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_what_matches_has_a_key_in_common(data: st.DataObject) -> None:
    star, area = data.draw(areas())
    assert_found(area, data.draw(regions(star, area)))


@given(raw_rings, raw_rings, raw_positions)
@settings(max_examples=60, deadline=None)
def test_what_matches_has_a_key_in_common_however_odd_the_outlines(one: Ring, other: Ring, point: Position) -> None:
    area = Footprint((one,))
    for region in (
        Region(points=(point,)),
        Region(points=one[:2]),
        Region(polygons=((other,),)),
        Region(lines=(other,)),
    ):
        assert_found(area, region)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_one_footprint_and_many_get_the_same_answer(data: st.DataObject) -> None:
    star, area = data.draw(areas())
    others = [data.draw(areas())[1] for _ in range(2)]
    region = data.draw(regions(star, area))
    batch = [area, *others, Footprint(()), area]
    assert SKY.covers_many(batch, region) == [SKY.covers(each, region) for each in batch]
    assert SKY.intersects_many(batch, region) == [SKY.intersects(each, region) for each in batch]
    assert SKY.cells_many(batch) == [SKY.cells(each) for each in batch]


@given(stars().filter(lambda star: max(star.reaches) > 1e-4))  # in smaller ones all is near the tolerance
@settings(max_examples=200, deadline=None)
def test_an_outline_covers_what_is_within_it_and_not_what_is_beyond(star: Star) -> None:
    area = Footprint((star.ring(),))
    step = max(1e-7, 0.002 * max(star.reaches)) / max(star.reaches)
    if min(star.reaches) * step < 2e-6:  # too near the tolerance to tell
        step = 0.5
    within, beyond = star.ring(scale=1 - step), star.ring(scale=1 + step)
    assert SKY.covers(area, Region(polygons=((within,),)))
    assert SKY.covers(area, Region(lines=(within,)))
    assert SKY.covers(area, Region(polygons=((star.ring(),),)))
    assert not SKY.covers(area, Region(polygons=((beyond,),)))
    assert not SKY.covers(area, Region(points=beyond[:1]))
    assert SKY.intersects(area, Region(polygons=((beyond,),)))
    assert SKY.covers(Footprint((beyond,)), Region(polygons=((star.ring(),),)))
    framed = Footprint((star.ring(scale=1 + 2 * step), beyond))
    assert not SKY.intersects(framed, Region(polygons=((star.ring(),),)))
    assert not SKY.covers(framed, Region(polygons=((star.ring(scale=1 + 1.5 * step),),)))


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_intersecting_is_mutual(data: st.DataObject) -> None:
    one = data.draw(stars(widest=15.0))
    other = data.draw(stars(widest=15.0, around=one.place(data.draw(st.floats(0, 6)), data.draw(st.floats(0, 10)))))
    a, b = (one.ring(), one.ring(0.5)), (other.ring(),)
    assert SKY.intersects(Footprint(a), Region(polygons=(b,))) is SKY.intersects(Footprint(b), Region(polygons=(a,)))


def _vectors(positions: Array) -> Array:
    ra, dec = np.radians(positions).T
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def _angle_sums(ring: Array, points: Array) -> Array:
    """How often the ring winds round each point, by the directions to its corners on the tangent plane."""
    corners, seen_from = _vectors(ring), _vectors(points)
    sums = np.zeros(len(points))
    for number, out in enumerate(seen_from):
        east = np.cross([0.0, 0.0, 1.0], out)
        north = np.cross(out, east)
        bearings = np.arctan2(corners @ north, corners @ east)
        sums[number] = ((np.diff(bearings) + np.pi) % (2 * np.pi) - np.pi).sum() / (2 * np.pi)
    return sums


def _inside_on_the_tangent_plane(middle: Position, ring: Array, points: Array) -> npt.NDArray[np.bool_]:
    """Plane even-odd rule in the gnomonic projection about the middle."""
    out = _vectors(np.array([middle]))[0]
    east = np.cross([0.0, 0.0, 1.0], out)
    east /= np.linalg.norm(east)
    plane = np.array([east, np.cross(out, east)])

    def project(positions: Array) -> Array:
        vectors = _vectors(positions)
        projected: Array = vectors @ plane.T / (vectors @ out)[:, np.newaxis]
        return projected

    corners, places = project(ring), project(points)
    inside = np.zeros(len(points), np.bool_)
    for (x0, y0), (x1, y1) in pairwise(corners):
        straddles = (y0 > places[:, 1]) != (y1 > places[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= straddles & (places[:, 0] < x0 + (places[:, 1] - y0) * (x1 - x0) / (y1 - y0))
    return inside


@pytest.mark.parametrize("seed", range(4))
def test_inside_agrees_with_angle_sums_and_with_the_tangent_plane_on_many_polygons(seed: int) -> None:
    random = np.random.default_rng(seed)
    compared = 0
    for _ in range(60):
        middle = (random.uniform(-180, 540), np.degrees(np.arcsin(random.uniform(-1, 1))))
        size = 10 ** random.uniform(-2, 1.8)
        number = int(random.integers(3, 12))
        directions = tuple(2 * np.pi * (np.arange(number) + random.uniform(-0.3, 0.3, number)) / number)
        star = Star(middle, directions, tuple(random.uniform(0.3, 1, number) * size))
        ring = star.ring()[:: int(random.choice([-1, 1]))]
        places = zip(random.uniform(0, 7, 50), random.uniform(0, 1.2, 50) * size, strict=True)
        points = [star.place(direction, reach) for direction, reach in places]
        by_angles = np.abs(_angle_sums(np.array(ring), np.array(points))) > 0.5
        by_plane = _inside_on_the_tangent_plane(middle, np.array(ring), np.array(points))
        area = Footprint((ring,))
        ours = np.array([SKY.covers(area, Region(points=(point,))) for point in points])
        many = np.array([SKY.covers_many([area], Region(points=(point,)))[0] for point in points])
        assert (ours == by_angles).all()
        assert (ours == by_plane).all()
        assert (ours == many).all()
        compared += int(ours.sum())
    assert compared > 500  # both answers occurred


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_band_holds_what_lies_between_its_sides(seed: int) -> None:
    random = np.random.default_rng(seed)
    start, span, height = random.uniform(0, 360), random.uniform(185, 330), random.uniform(2, 30)
    north = [(start + along, height) for along in np.linspace(0, span, 60)]
    band = Footprint(((*north, *((ra, -dec) for ra, dec in north[::-1]), north[0]),))
    for _ in range(100):
        ra, dec = random.uniform(0, 360), random.uniform(-89, 89)
        within = 0.5 < (ra - start) % 360 < span - 0.5 and abs(dec) < height - 0.5
        without = (ra - start) % 360 > span + 0.5 or abs(dec) > height + 3
        if within or without:
            region = Region(points=((ra, dec),))
            assert SKY.covers(band, region) is within
            assert_found(band, region)


WRITTEN = [
    "POINT(5 10.02)",
    "SRID=4326;POLYGON((0 0, 10 0, 10 10, 0 10, 0 0), (4 4, 6 4, 6 6, 4 4))",
    "GEOMETRYCOLLECTION(POINT Z (1 2 3), LINESTRING(0 0, 1e1 1.5), MULTIPOINT(1 2, (3 4)))",
    "MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)), EMPTY)",
    json.dumps({"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 0]]]}),
    json.dumps({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 2]}]}),
    struct.pack("<BIIII8d", 1, 0x20000003, 4326, 1, 4, 0, 0, 1, 0, 1, 1, 0, 0).hex(),
    struct.pack(">BIIBIdd", 0, 7, 1, 0, 1, 5, 5).hex(),
]
PIECES = st.one_of(
    st.sampled_from([*'(),;{}[]" ', "EMPTY", "NaN", "-", "1e400", "9", "ff", "80", "POINT", "Z", "null", "\x00", "é"]),
    st.text(max_size=3),
)


def assert_read_or_refused(text: str) -> None:
    try:
        region = SKY.parse(text, "covers")
    except InvalidGeometry:
        return
    area = Footprint((((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 0.0)),))
    assert_found(area, region)


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    assert_read_or_refused(text)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_damaged_text_is_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(WRITTEN))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 3)))
        text = text[:start] + data.draw(PIECES) + text[end:]
    assert_read_or_refused(text)


@given(st.binary(min_size=5, max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_hexadecimal_is_read_or_refused(data: bytes) -> None:
    assert_read_or_refused(data.hex())
    assert_read_or_refused((b"\x01" + struct.pack("<I", data[0] % 9) + data).hex())


@given(raw_rings)
@settings(max_examples=100, deadline=None)
def test_normalising_leaves_the_place_and_brings_it_into_range(ring: Ring) -> None:
    (stored,) = SKY.normalise(Footprint((ring,))).coordinates
    assert all(-180 <= ra <= 180 and -90 <= dec <= 90 for ra, dec in stored)
    assert _vectors(np.array(stored)) == pytest.approx(_vectors(np.array(ring)), abs=1e-12)
    assert stored[0] == stored[-1]
