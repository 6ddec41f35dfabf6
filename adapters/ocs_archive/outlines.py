"""A frame's area as the original's database gives it: PostGIS geography, in its text form, hexadecimal EWKB."""

from __future__ import annotations

from adapters.sky.parse import parse_region
from domain.errors import InvalidInput
from domain.footprint import Footprint


def footprint(text: str | None) -> Footprint | None:
    """The outline of an area; None when there is none. Raises InvalidInput for one that isn't one polygon."""
    if not text:
        return None
    region = parse_region(text, "its area")
    if region.empty:
        return None
    if len(region.polygons) != 1 or region.points or region.lines:
        raise InvalidInput("Its area isn't one polygon.")
    return Footprint(region.polygons[0])
