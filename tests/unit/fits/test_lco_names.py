"""LCO file names tell a frame's type."""

from __future__ import annotations

import pytest

from adapters.fits.lco_names import inferred_level, inferred_type, is_mask
from domain.errors import InvalidFile


@pytest.mark.parametrize(
    ("basename", "enclosure", "telescope", "expected"),
    [
        ("trace-x", "", "", "TRACE"),
        ("arc-lsc-nres01", "", "", "ARC"),
        ("coj1m011-fa12-20240517-bias-bin1x1", "", "", "BIAS"),
        ("coj1m011-fa12-20240517-bpm-full_frame", "", "", "BPM"),
        ("coj1m011-fa12-20240517-0001-e91", "", "", "EXPOSE"),
        ("ogg2m001-en06-20240517-0001-e00", "", "", "SPECTRUM"),
        ("lscnrs01-fa09-20240517-0001-e00", "igla", "", "TARGET"),
        ("lscnrs01-fa09-20240517-0001-e00", "", "igla", "TARGET"),
        ("lscnrs01-fa09-20240517-0001-a00", "igla", "", "DOUBLE"),
        ("ogg2m001-en06-20240517-0001-a00", "", "", "ARC"),
        ("coj1m011-fa12-20240517-0001-b00", "", "", "BIAS"),
        ("coj1m011-fa12-20240517-0001-d00", "", "", "DARK"),
        ("coj1m011-fa12-20240517-0001-f00", "", "", "SKYFLAT"),
        ("coj1m011-ef12-20240517-0001-g00", "", "", "GUIDE"),
        ("coj1m011-fa12-20240517-0001-s00", "", "", "STANDARD"),
        ("ogg2m001-en06-20240517-0001-w00", "", "", "LAMPFLAT"),
        ("coj1m011-fa12-20240517-0001-x00", "", "", "EXPERIMENTAL"),
    ],
)
def test_g13_the_name_tells_the_type(basename: str, enclosure: str, telescope: str, expected: str) -> None:
    assert inferred_type(basename, enclosure=enclosure, telescope=telescope) == expected


@pytest.mark.parametrize("basename", ["", "a", "a-b-c-d", "a-b-c-d-z00", "a-b-c-d-", "a-b-c-d-E00"])
def test_g13_other_names_tell_nothing(basename: str) -> None:
    with pytest.raises(InvalidFile):
        inferred_type(basename, enclosure="", telescope="")


@pytest.mark.parametrize(
    ("basename", "extension", "level"),
    [
        ("x-e91", ".fits.fz", 91),
        ("x-e00", ".fits.fz", 0),
        ("x", ".fits.fz", 0),
        ("x-e91", ".tar.gz", 90),
        ("x-٣٤", ".fits.fz", 0),
    ],
)
def test_g14_the_name_tells_the_level(basename: str, extension: str, level: int) -> None:
    assert inferred_level(basename, extension) == level


@pytest.mark.parametrize(
    ("basename", "expected"),
    [
        ("bpm", True),
        ("bpm-a", True),
        ("a_bpm", True),
        ("a-bpm_b", True),
        ("bpms", False),
        ("abpm-b", False),
        ("x", False),
    ],
)
def test_a_mask_has_bpm_as_a_whole_word_in_its_name(basename: str, expected: bool) -> None:
    assert is_mask(basename) is expected
