"""A file's place in the archive never leaves the archive."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from adapters.fits.archive_paths import frame_path, mask_path, segment, thumbnail_path

DAY = date(2015, 2, 19)


def test_frames_masks_and_thumbnails_have_their_places() -> None:
    assert frame_path("x.fits", site="coj", instrument="kb05", day=DAY, level=0) == "coj/kb05/20150219/raw/x.fits"
    assert (
        frame_path("x.fits", site="coj", instrument="kb05", day=DAY, level=91) == "coj/kb05/20150219/processed/x.fits"
    )
    assert mask_path("bpm.fits.fz", site="coj", instrument="kb05") == "coj/kb05/bpm/bpm.fits.fz"
    assert thumbnail_path("x.jpg", site="coj", instrument="kb05", day=DAY) == "coj/kb05/20150219/thumbnails/x.jpg"


def test_what_is_not_known_is_an_empty_segment() -> None:
    assert frame_path("x.fits", site="", instrument="", day=None, level=0) == "///raw/x.fits"


@given(st.text())
def test_no_text_climbs_out_of_its_segment(text: str) -> None:
    clean = segment(text)
    assert clean not in (".", "..")
    assert not set(clean) & set("/\\\0\n")
    assert len(clean.encode()) <= 255
    assert bool(clean) == bool(text)


def test_a_header_that_would_climb_is_made_harmless() -> None:
    path = frame_path("x.fits", site="..", instrument="../../etc", day=DAY, level=0)
    assert path == "__/.._.._etc/20150219/raw/x.fits"
