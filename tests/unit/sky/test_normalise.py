"""Area normalisation: contract section 1.5."""

from __future__ import annotations

import pytest

from tests.unit.sky.shapes import SKY, box, footprint, frame


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ((10.0, 20.0), (10.0, 20.0)),
        ((180.0, 90.0), (180.0, 90.0)),
        ((-180.0, -90.0), (-180.0, -90.0)),
        ((190.0, 0.0), (-170.0, 0.0)),
        ((359.5, 0.0), (-0.5, 0.0)),
        ((365.0, 0.0), (5.0, 0.0)),
        ((-190.0, 0.0), (170.0, 0.0)),
        ((725.0, 0.0), (5.0, 0.0)),
        ((10.0, 95.0), (-170.0, 85.0)),
        ((-10.0, -95.0), (170.0, -85.0)),
        ((10.0, 270.0), (10.0, -90.0)),
        ((10.0, 365.0), (10.0, 5.0)),
    ],
)
def test_right_ascension_is_wrapped_and_declination_folded_over_the_pole(
    given: tuple[float, float], stored: tuple[float, float]
) -> None:
    area = footprint((given, (1.0, 1.0), (2.0, 1.0), given))
    (ring,) = SKY.normalise(area).coordinates
    assert ring[0] == ring[-1] == pytest.approx(stored, abs=1e-12)


def test_the_outline_on_the_sky_stays_the_same() -> None:
    for area in (frame(359.95, 89.9), frame(720.1, -20), footprint(box(170, 85, 190, 95))):
        assert SKY.cells(SKY.normalise(area)) == SKY.cells(area)
    assert SKY.normalise(SKY.normalise(frame(359.95, 40))) == SKY.normalise(frame(359.95, 40))


def test_coordinates_that_are_not_finite_are_left_as_they_are() -> None:
    area = footprint(((float("inf"), 0.0), (0.0, float("-inf")), (float("inf"), 0.0)))
    assert SKY.normalise(area) == area
