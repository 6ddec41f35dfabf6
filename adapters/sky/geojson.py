"""GeoJSON geometries (RFC 7946) written as text; a coordinate reference system other than WGS 84 is refused."""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.sky.shapes import DEEPEST, Shapes, Unreadable
from domain.footprint import Position

_WGS84 = ("EPSG:4326", "EPSG::4326", "CRS84")


def read(text: str) -> Shapes:
    """Raises Unreadable, and nothing else."""
    try:
        geometry = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError):
        raise Unreadable("it looks like GeoJSON but isn't valid JSON") from None
    shapes = Shapes()
    _gather(geometry, shapes, 0)
    return shapes


def _gather(geometry: Any, shapes: Shapes, depth: int) -> None:
    if depth > DEEPEST:
        raise Unreadable(f"it is nested more than {DEEPEST} deep")
    if not isinstance(geometry, dict):
        raise Unreadable("a GeoJSON geometry is an object")
    _check_reference_system(geometry.get("crs"))
    coordinates = geometry.get("coordinates")
    match geometry.get("type"):
        case "Point":
            shapes.point(_position(coordinates) if coordinates != [] else None)
        case "LineString":
            shapes.line(_path(coordinates))
        case "Polygon":
            shapes.polygon(_rings(coordinates))
        case "MultiPoint":
            for position in _path(coordinates):
                shapes.point(position)
        case "MultiLineString":
            for line in _rings(coordinates):
                shapes.line(line)
        case "MultiPolygon":
            for polygon in _list(coordinates):
                shapes.polygon(_rings(polygon))
        case "GeometryCollection":
            for part in _list(geometry.get("geometries")):
                _gather(part, shapes, depth + 1)
        case _:
            raise Unreadable("it is GeoJSON of a type that can't be searched for")


def _check_reference_system(system: Any) -> None:
    if system is None:
        return
    name = system.get("properties") if isinstance(system, dict) else None
    name = name.get("name") if isinstance(name, dict) else None
    if not (isinstance(name, str) and name.upper().endswith(_WGS84)):
        raise Unreadable("its coordinate reference system isn't EPSG:4326")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unreadable("GeoJSON coordinates are lists")
    return value


def _position(value: Any) -> Position:
    numbers = _list(value)
    if len(numbers) < 2 or not all(type(number) in (int, float) for number in numbers[:2]):
        raise Unreadable("a GeoJSON position is [RA, Dec]")
    try:
        return float(numbers[0]), float(numbers[1])
    except OverflowError:
        raise Unreadable("a coordinate is infinite") from None


def _path(value: Any) -> list[Position]:
    return [_position(position) for position in _list(value)]


def _rings(value: Any) -> list[list[Position]]:
    return [_path(ring) for ring in _list(value)]
