"""What a query may be written in, and that anything else is an InvalidGeometry."""

from __future__ import annotations

import struct

import pytest

from application.ports.sky import Region
from domain.errors import InvalidGeometry
from tests.unit.sky.shapes import SKY, region

RING = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0))


def _wkb(kind: int, body: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "BI", order == "<", kind) + body


def _points(*numbers: float, order: str = "<") -> bytes:
    return struct.pack(f"{order}{len(numbers)}d", *numbers)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("POINT(1 2)", Region(points=((1.0, 2.0),))),
        ("  pOiNt  (  -1.5e1\n+.5 ) ", Region(points=((-15.0, 0.5),))),
        ("POINT M (1 2 3)", Region(points=((1.0, 2.0),))),
        ("POINTZM (1 2 3 4)", Region(points=((1.0, 2.0),))),
        ("srid = 4326 ; POINT(1. 2)", Region(points=((1.0, 2.0),))),
        ("MULTIPOINT(1 2, (3 4), EMPTY)", Region(points=((1.0, 2.0), (3.0, 4.0)))),
        ("LINESTRING(0 0, 1 1 5)", Region(lines=(((0.0, 0.0), (1.0, 1.0)),))),
        ("MULTILINESTRING((0 0, 1 1), EMPTY)", Region(lines=(((0.0, 0.0), (1.0, 1.0)),))),
        ("POLYGON((0 0,1 0,1 1,0 0))", Region(polygons=((RING,),))),
        ("POLYGON Z((0 0 1,1 0 2,1 1 3,0 0 4),(0 0 1,1 0 2,1 1 3,0 0 4))", Region(polygons=((RING, RING),))),
        ("MULTIPOLYGON(((0 0,1 0,1 1,0 0)),EMPTY)", Region(polygons=((RING,),))),
        (
            "GEOMETRYCOLLECTION(POINT(1 2), GEOMETRYCOLLECTION(POLYGON((0 0,1 0,1 1,0 0))), POINT EMPTY)",
            Region(points=((1.0, 2.0),), polygons=((RING,),)),
        ),
        ("GEOMETRYCOLLECTION EMPTY", Region()),
        ("POINT(nan 5)", Region()),
        ('{"type":"Point","coordinates":[]}', Region()),
        ('{"type":"Point","coordinates":[1,2,3],"crs":null}', Region(points=((1.0, 2.0),))),
        (
            '{"type":"Point","crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::4326"}},"coordinates":[1,2]}',
            Region(points=((1.0, 2.0),)),
        ),
        ('{"type":"MultiPoint","coordinates":[[1,2],[3,4]]}', Region(points=((1.0, 2.0), (3.0, 4.0)))),
        ('{"type":"MultiLineString","coordinates":[[[0,0],[1,1]]]}', Region(lines=(((0.0, 0.0), (1.0, 1.0)),))),
        ('{"type":"MultiPolygon","coordinates":[[[[0,0],[1,0],[1,1],[0,0]]]]}', Region(polygons=((RING,),))),
        (
            '{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]}]}',
            Region(points=((1.0, 2.0),)),
        ),
        (_wkb(1, _points(1, 2)).hex(), Region(points=((1.0, 2.0),))),
        (_wkb(0x80000001, _points(1, 2, 3)).hex(), Region(points=((1.0, 2.0),))),
        (_wkb(3001, _points(1, 2, 3, 4)).hex().upper(), Region(points=((1.0, 2.0),))),
        (_wkb(1, _points(float("nan"), float("nan"))).hex(), Region()),
        (_wkb(2, struct.pack("<I", 2) + _points(0, 0, 1, 1)).hex(), Region(lines=(((0.0, 0.0), (1.0, 1.0)),))),
        (
            _wkb(3, struct.pack(">II", 1, 4) + _points(0, 0, 1, 0, 1, 1, 0, 0, order=">"), ">").hex(),
            Region(polygons=((RING,),)),
        ),
        (
            _wkb(4, struct.pack("<I", 2) + _wkb(1, _points(1, 2)) + _wkb(1, _points(3, 4, order=">"), ">")).hex(),
            Region(points=((1.0, 2.0), (3.0, 4.0))),
        ),
    ],
)
def test_every_notation_is_read(text: str, wanted: Region) -> None:
    assert region(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "POINT(5,5)",
        "POINT(1 NANEMPTY)",
        "POINT(5)",
        "POINT(1 2 3 4 5)",
        "POINT(1 2, 3 4)",
        "POINT()",
        "POINT",
        "POINT(1 2",
        "POINT(1 2))",
        "POINT(1 2) POINT(1 2)",
        "POINT(1-2)",
        "POINT(1e999 0)",
        "POINT(inf 0)",
        "POINT(\u0661 \u0662)",
        "LINESTRING(1 2)",
        "POLYGON((0 0, 1 0, 1 1))",
        "POLYGON((0 0, 1 0, 1 1, 0 1))",
        "POLYGON((0 0, 1 0, 1 1, 0 0)",
        "POLYGON(0 0, 1 0, 1 1, 0 0)",
        "POLYGON(EMPTY, (0 0, 1 0, 1 1, 0 0))",
        "CIRCULARSTRING(0 0, 1 1, 2 0)",
        "CURVEPOLYGON((0 0, 1 0, 1 1, 0 0))",
        "SRID=3857;POINT(1 2)",
        "SRID=4326;",
        "foo",
        "5 5",
        "5,5",
        "",
        " ",
        "\x00",
        "POINT(1 2)\x00",
        "{}",
        "{",
        "[]",
        '{"type":"Point"}',
        '{"type":"Point","coordinates":[1]}',
        '{"type":"Point","coordinates":["1","2"]}',
        '{"type":"Point","coordinates":[true,false]}',
        '{"type":"Point","coordinates":[1e999,0]}',
        '{"type":"Point","coordinates":{"0":1}}',
        '{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1]]]}',
        '{"type":"Polygon","coordinates":[0]}',
        '{"type":["Point"],"coordinates":[1,2]}',
        '{"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]}}',
        '{"type":"GeometryCollection","geometries":[7]}',
        '{"type":"Point","coordinates":[1,2],"crs":{"type":"name","properties":{"name":"EPSG:3857"}}}',
        '{"type":"Point","coordinates":[1,2],"crs":5}',
        '{"type":"Point","coordinates":[1' + "0" * 400 + ",2]}",
        "0101",
        "0101000000",
        "01" * 8,
        "ff" * 21,
        _wkb(1, _points(1, 2)).hex() + "00",
        _wkb(1, _points(1, 2)).hex() + "0",
        _wkb(8, _points(1, 2)).hex(),
        _wkb(0, _points(1, 2)).hex(),
        _wkb(4001, _points(1, 2)).hex(),
        _wkb(1, _points(float("inf"), 2)).hex(),
        _wkb(2, struct.pack("<I", 0xFFFFFFFF)).hex(),
        _wkb(0x20000001, struct.pack("<I", 3857) + _points(1, 2)).hex(),
    ],
)
def test_anything_else_is_an_invalid_geometry_that_names_the_parameter_and_the_form(text: str) -> None:
    with pytest.raises(InvalidGeometry) as refused:
        SKY.parse(text, "intersects")
    assert "intersects" in str(refused.value)
    assert "POINT(RA DEC)" in str(refused.value)
    assert refused.value.field == "intersects"
    assert str(refused.value).count("\n") == 0


@pytest.mark.parametrize(
    "text",
    [
        "GEOMETRYCOLLECTION(" * 17 + "POINT(1 2)" + ")" * 17,
        "GEOMETRYCOLLECTION(" * 20_000,
        "(" * 100_000,
        '{"type":"GeometryCollection","geometries":[' * 2_000 + "]}" * 2_000,
        '{"type":"Point","coordinates":' + "[" * 100_000,
        (struct.pack("<BII", 1, 7, 1) * 5_000).hex(),
        "LINESTRING(" + ",".join(["1 2"] * 10_001) + ")",
        "POINT(1 2)" + " " * 600_000 + ")",
    ],
)
def test_what_is_nested_too_deep_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(InvalidGeometry):
        SKY.parse(text, "covers")


def test_sixteen_levels_and_ten_thousand_vertices_are_read() -> None:
    assert region("GEOMETRYCOLLECTION(" * 16 + "POINT(1 2)" + ")" * 16).points == ((1.0, 2.0),)
    assert len(region("LINESTRING(" + ",".join(["1 2"] * 10_000) + ")").lines[0]) == 10_000
