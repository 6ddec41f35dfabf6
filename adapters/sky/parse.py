"""From the text of a query parameter to a Region: WKT, EWKT, GeoJSON, hexadecimal WKB and EWKB."""

from __future__ import annotations

import re

from adapters.sky import geojson, wkb, wkt
from adapters.sky.shapes import Shapes, Unreadable
from application.ports.sky import Region
from domain.errors import InvalidGeometry

# A sky region of 10 000 vertices with all its digits fits; more is a mistake or an attack.
MOST_CHARACTERS = 500_000

_HEX = re.compile(r"[0-9A-Fa-f]{10,}")


def parse_region(text: str, parameter: str) -> Region:
    """Read a region; its coordinates are finite, its rings closed. See ports.sky.Region for EMPTY and NaN.

    Raises InvalidGeometry, and nothing else, with a sentence that names `parameter`.
    """
    try:
        return _read(text).region()
    except Unreadable as unreadable:
        why = str(unreadable)
    message = f"The value of {parameter} is no region of the sky: {why}; write it as POINT(RA DEC), in degrees."
    raise InvalidGeometry(message, field=parameter)


def _read(text: str) -> Shapes:
    if len(text) > MOST_CHARACTERS:
        raise Unreadable(f"it is longer than {MOST_CHARACTERS} characters")
    text = text.strip()
    if text.startswith("{"):
        return geojson.read(text)
    if _HEX.fullmatch(text):
        return wkb.read(text)
    return wkt.read(text)
