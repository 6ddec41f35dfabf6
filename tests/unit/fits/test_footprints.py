"""A frame's outline on the sky."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.fits.footprints import degrees, footprint
from adapters.fits.settings import FitsSettings
from domain.footprint import Ring
from tests.unit.fits.fits_files import WORLD, compressed, describe, plain

TAN = {**WORLD, "NAXIS": 2, "NAXIS1": 1024, "NAXIS2": 1024}
CORNERS = ((0.3092359, 9.7444039), (0.3096443, 10.2558952), (359.7898476, 10.2558948), (359.7902568, 9.7444035))


def outline(headers: dict[str, Any]) -> Ring | None:
    found = footprint(headers, FitsSettings())
    if found is None:
        return None
    (ring,) = found.coordinates
    assert ring[0] == ring[-1]
    return ring[:-1]


def close(ring: Ring | None, expected: Ring, tolerance: float = 1e-7) -> bool:
    assert ring is not None
    pairs = zip(ring, expected, strict=True)
    return all(abs(a - b) <= tolerance for one, other in pairs for a, b in zip(one, other, strict=True))


def test_g17_the_corner_pixels_of_a_gnomonic_frame_meet_the_reference_numbers() -> None:
    assert close(outline(TAN), CORNERS)


def test_g17_the_image_inside_a_compressed_table_gives_the_outline(tmp_path: Path) -> None:
    one = describe(plain(tmp_path, shape=(50, 40), **WORLD)).record.area
    assert one is not None
    assert describe(compressed(tmp_path, shape=(50, 40), **WORLD)).record.area == one


def test_g17_distortions_count() -> None:
    sip = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "B_0_2": 0.0}
    bent = outline({**TAN, **sip})
    assert bent is not None
    assert not close(bent, CORNERS, 1e-4)
    assert close(bent, CORNERS, 1e-2)


@pytest.mark.parametrize(
    ("ra", "dec", "x", "y"),
    [
        ("00:00:00", "0", 0.0, 0.0),
        ("12:30:00", "-10:30:00", 187.5, -10.5),
        (110, 0, 1650.0, 0.0),
        ("1 0 0", "+05 15 0", 15.0, 5.25),
        ("2.5", "-0:30:00", 37.5, -0.5),
    ],
)
def test_g18_a_circle_gives_its_box_with_ra_in_hours(ra: Any, dec: Any, x: float, y: float) -> None:
    ring = outline({"RADIUS": 3600, "RA": ra, "DEC": dec, **TAN})
    assert close(ring, ((x - 1, y + 1), (x + 1, y + 1), (x + 1, y - 1), (x - 1, y - 1)))


@pytest.mark.parametrize("value", ["", None])
def test_g18_a_circle_needs_all_three_values(value: Any) -> None:
    assert close(outline({"RADIUS": 3600, "RA": value, "DEC": 0, **TAN}), CORNERS)


@pytest.mark.parametrize(
    "changes",
    [
        {"NAXIS3": 1},
        {"CD1_2": None},
        {"NAXIS2": ""},
        {"CD1_1": 0.0, "CD2_2": 0.0},
        {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
        {"CTYPE1": "WAVE", "CTYPE2": "LINEAR"},
        {"CTYPE1": None, "CTYPE2": None},
        {"CTYPE1": "RA---XXX", "CTYPE2": "DEC--XXX"},
        {"CD1_1": 5.0, "CD2_2": 5.0, "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"},
        {"A_ORDER": 9999, "B_ORDER": 9999, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"},
        {"RADIUS": "wide", "RA": 1, "DEC": 1},
        {"RADIUS": 1, "RA": "nan", "DEC": 1},
    ],
)
def test_g19_what_gives_no_sound_outline_gives_none(changes: dict[str, Any]) -> None:
    assert outline({**TAN, **changes}) is None


def test_g17_zero_is_a_value() -> None:
    assert outline({**TAN, "CD1_2": 0, "CD2_1": 0}) is not None


def test_g17_axes_may_be_swapped() -> None:
    swapped = {**TAN, "CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 10.0, "CRVAL2": 0.05}
    ring = outline(swapped)
    assert ring is not None
    assert all(9 < dec < 11 for _, dec in ring)


@pytest.mark.parametrize(("text", "value"), [("-00:30:00", -0.5), ("12h30m", 12.5), ("5d30m36s", 5.51), ("1e1", 10.0)])
def test_g18_angles_are_read_in_sexagesimal_forms(text: str, value: float) -> None:
    assert degrees(text) == pytest.approx(value)
