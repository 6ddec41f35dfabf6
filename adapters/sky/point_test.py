"""One point against one footprint, without arrays: some 8 microseconds, where numpy's fixed costs are over 100.

The same rules as `outlines.locate`, which a test holds it to. Rings that don't lie in the hemisphere round the point
are left to `locate`.
"""

from __future__ import annotations

from math import cos, hypot, radians, sin, sqrt

from adapters.sky.outlines import locate, outlines
from adapters.sky.sphere import NO_LENGTH, TOLERANCE, unit_vectors
from domain.footprint import Footprint, Position, Ring

# Seen from the point: eastward, northward and towards the observer.
_Seen = tuple[float, float, float]


def covers_point(footprint: Footprint, point: Position) -> bool:
    """Whether the point lies in the footprint or on its boundary; False for a footprint that makes no sense."""
    if not footprint.coordinates:
        return False
    try:
        ra, dec = radians(point[0]), radians(point[1])
        view = (ra, sin(dec), cos(dec))
        outer = _side(footprint.coordinates[0], view)
        if outer == _ELSEWHERE:
            return _by_arrays(footprint, point)
        if outer == _OUTSIDE:
            return False
        for hole in footprint.coordinates[1:]:
            side = _side(hole, view)
            if side == _ELSEWHERE:
                return _by_arrays(footprint, point)
            if side == _INSIDE:
                return False
    except ValueError:  # an infinite coordinate
        return False
    return True


_OUTSIDE, _INSIDE, _BOUNDARY, _ELSEWHERE = range(4)


def _side(ring: Ring, view: tuple[float, float, float]) -> int:
    """Where the point is with regard to the ring; `_ELSEWHERE` if the ring leaves the hemisphere round the point."""
    ra0, sin0, cos0 = view
    seen = []
    for ra, dec in ring:
        turn, height = radians(ra) - ra0, radians(dec)
        sin_dec, cos_dec = sin(height), cos(height)
        level = cos_dec * cos(turn)
        towards = sin_dec * sin0 + level * cos0
        if not towards > 1e-6:  # also when a coordinate isn't a number
            return _ELSEWHERE
        seen.append((cos_dec * sin(turn), sin_dec * cos0 - level * sin0, towards))
    if not seen:
        return _ELSEWHERE
    inside = False
    a = seen[-1]
    for b in seen:
        area = a[0] * b[1] - b[0] * a[1]
        if -TOLERANCE <= area <= TOLERANCE and _near(a, b, area):
            return _BOUNDARY
        above = a[1] > 0
        if above != (b[1] > 0) and (area < 0) == above:
            inside = not inside
        a = b
    return _INSIDE if inside else _OUTSIDE


def _near(a: _Seen, b: _Seen, area: float) -> bool:
    """Whether the arc from a to b passes within TOLERANCE of the point; `area` is the normal's share towards it."""
    if min(hypot(a[0], a[1], 1 - a[2]), hypot(b[0], b[1], 1 - b[2])) <= TOLERANCE:
        return True
    east = a[1] * b[2] - a[2] * b[1]
    north = a[2] * b[0] - a[0] * b[2]
    size = sqrt(east * east + north * north + area * area)
    between = east * a[1] - north * a[0] >= 0 and b[0] * north - b[1] * east >= 0
    return between and size > NO_LENGTH and abs(area) <= TOLERANCE * size


def _by_arrays(footprint: Footprint, point: Position) -> bool:
    return bool(locate(outlines([footprint.coordinates]), unit_vectors([point])).closed.item())
