"""A frame's outline on the sky."""

from __future__ import annotations

from typing import Literal

import msgspec

Position = tuple[float, float]
Ring = tuple[Position, ...]


class Footprint(msgspec.Struct, frozen=True, gc=False):
    """A GeoJSON polygon: x is right ascension, y declination, both in degrees (ICRS).

    The first ring is the outline, the others are holes; every ring is closed; edges are great-circle arcs.
    """

    coordinates: tuple[Ring, ...]
    type: Literal["Polygon"] = "Polygon"
