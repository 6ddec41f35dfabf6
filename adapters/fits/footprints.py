"""A frame's outline on the sky from its header (OCS contract, chapter 4.4)."""

from __future__ import annotations

import math
import re
import warnings

from astropy.io.fits import Header
from astropy.wcs import WCS, FITSFixedWarning

from adapters.fits.cards import Value
from adapters.fits.header_cleaning import is_blank
from adapters.fits.settings import FitsSettings
from domain.footprint import Footprint, Position

DECIMALS = 10
"""Of a degree: 0.4 micro-arcseconds, well below what any astrometry holds."""
HIGHEST_ORDER = 9
"""Of a distortion polynomial; SIP is defined up to here. A larger claim would only claim memory."""

_NEEDED = ("CD1_1", "CD1_2", "CD2_1", "CD2_2", "NAXIS1", "NAXIS2")
_PIXELS_TO_SKY = re.compile(
    r"(?:CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)[12]|CD[12]_[12]|P[VS][12]_\d{1,2}|LONPOLE|LATPOLE|RADESYS|EQUINOX"
    r"|[AB]P?_(?:ORDER|\d_\d|DMAX)"
)
_TEXTS = ("CTYPE", "CUNIT", "RADES")
_ORDERS = ("A_ORDER", "B_ORDER", "AP_ORDER", "BP_ORDER")
_SEXAGESIMAL = re.compile(
    r"([+-]?)(\d+(?:\.\d*)?)(?:[:\sdh°]+(\d+(?:\.\d*)?)?)?(?:[:\sm']+(\d+(?:\.\d*)?)?)?[s\"]?", re.ASCII
)

warnings.filterwarnings("ignore", category=FITSFixedWarning)


def footprint(headers: dict[str, Value], settings: FitsSettings) -> Footprint | None:
    """The outline that cleaned headers give: a circle's box, else the corners of the image; None without either."""
    circle = [headers.get(key) for key in (settings.radius_key, settings.ra_key, settings.dec_key)]
    if not any(is_blank(value) for value in circle):
        return _box(*circle)
    third_axis = headers.get("NAXIS3")
    if any(is_blank(headers.get(key)) for key in _NEEDED) or not is_blank(third_axis):
        return None
    return _corners(headers)


def degrees(value: Value) -> float:
    """An angle in its own unit, from a number or a sexagesimal text. Raises ValueError."""
    if isinstance(value, bool) or value is None:
        raise ValueError(value)
    if isinstance(value, (int, float)):
        return float(value)
    match = _SEXAGESIMAL.fullmatch(value.strip())
    if not match:
        return float(value)
    units, minutes, seconds = (float(part or 0) for part in match.groups()[1:])
    angle = units + minutes / 60 + seconds / 3600
    return -angle if match[1] == "-" else angle


def _box(radius: Value, ra: Value, dec: Value) -> Footprint | None:
    """The radius is in arcseconds, RA in hours whatever its form, Dec in degrees; no shrinking with Dec."""
    try:
        r, x, y = degrees(radius) / 3600, degrees(ra) * 15, degrees(dec)
    except ValueError:
        return None
    return _polygon([(x - r, y + r), (x + r, y + r), (x + r, y - r), (x - r, y - r)])


def _corners(headers: dict[str, Value]) -> Footprint | None:
    """The centres of the corner pixels, through the whole mapping with its distortions."""
    width, height = headers["NAXIS1"], headers["NAXIS2"]
    axes = (str(headers.get("CTYPE1"))[:2], str(headers.get("CTYPE2"))[:3])
    if {axis.rstrip("-") for axis in axes} != {"RA", "DEC"} and {*axes} != {"DE", "RA-"}:
        return None
    try:
        if math.prod(_numbers(headers, "CD1_1", "CD2_2")) == math.prod(_numbers(headers, "CD1_2", "CD2_1")):
            # wcslib would take one degree a pixel instead of a matrix that maps the image onto a line or a point.
            return None
        if any(int(headers.get(key) or 0) > HIGHEST_ORDER for key in _ORDERS):
            return None
        cards = [(key, value) for key, value in headers.items() if _is_part(key, value)]
        mapping = WCS(Header([("NAXIS", 2), ("NAXIS1", width), ("NAXIS2", height), *cards]))
        corners = [(1, 1), (1, height), (width, height), (width, 1)]
        positions = mapping.all_pix2world(corners, 1, ra_dec_order=True)
    except Exception:
        # wcslib, astropy and numpy have dozens of ways to refuse a header; none of them makes the file unsound.
        return None
    return _polygon([(float(x), float(y)) for x, y in positions])


def _numbers(headers: dict[str, Value], *keys: str) -> list[float]:
    return [float(headers[key] or 0) for key in keys]


def _is_part(key: str, value: Value) -> bool:
    """Whether a card belongs to the mapping from pixels to the sky, and has a value of its kind."""
    if not _PIXELS_TO_SKY.fullmatch(key):
        return False
    if key[:5] in _TEXTS:
        return isinstance(value, str)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _polygon(corners: list[Position]) -> Footprint | None:
    if not all(math.isfinite(coordinate) for corner in corners for coordinate in corner):
        return None
    rounded = [(round(x, DECIMALS), round(y, DECIMALS)) for x, y in corners]
    return Footprint(coordinates=((*rounded, rounded[0]),))
