"""Footprints and regions in a word, for the tests."""

from __future__ import annotations

from math import cos, radians

from adapters.sky import SphericalSky
from application.ports.sky import Region
from domain.footprint import Footprint, Position

SKY = SphericalSky()


def ring(*positions: Position) -> tuple[Position, ...]:
    """The ring through the positions, closed."""
    return (*((float(ra), float(dec)) for ra, dec in positions), (float(positions[0][0]), float(positions[0][1])))


def footprint(*rings: tuple[Position, ...]) -> Footprint:
    return Footprint(rings)


def box(ra0: float, dec0: float, ra1: float, dec1: float) -> tuple[Position, ...]:
    return ring((ra0, dec0), (ra1, dec0), (ra1, dec1), (ra0, dec1))


def frame(ra: float, dec: float, side: float = 26 / 60) -> Footprint:
    """A square frame; side in degrees."""
    half, wide = side / 2, side / 2 / cos(radians(dec))
    return footprint(box(ra - wide, dec - half, ra + wide, dec + half))


def region(text: str) -> Region:
    return SKY.parse(text, "covers")


def covers(area: Footprint, text: str) -> bool:
    """Asked of one and of many, which must agree."""
    wanted = region(text)
    one = SKY.covers(area, wanted)
    assert SKY.covers_many([area, area], wanted) == [one, one]
    assert_found(area, wanted, one)
    return one


def intersects(area: Footprint, text: str) -> bool:
    """Asked of one and of many, which must agree."""
    wanted = region(text)
    one = SKY.intersects(area, wanted)
    assert SKY.intersects_many([area, area], wanted) == [one, one]
    if one:
        keys = SKY.query_keys(wanted)
        assert keys is not None
        assert set(keys) & set(SKY.cells(area))
    return one


def assert_found(area: Footprint, wanted: Region, covered: bool) -> None:
    """What is covered must be among the candidates, by either kind of key."""
    if covered:
        stored = set(SKY.cells(area))
        for relation in ("covers", "intersects"):
            keys = SKY.query_keys(wanted, relation)
            assert keys is not None
            assert set(keys) & stored
