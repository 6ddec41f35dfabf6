"""The made-up night reads like a real one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from astropy.io import fits

from adapters.fits.night import make_night
from domain.frame_record import FrameRecord
from tests.unit.fits.fits_files import describe

DAY = date(2026, 3, 14)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_night(tmp_path_factory.mktemp("night"), day=DAY)


@pytest.fixture(scope="module")
def records(night: list[Path]) -> list[FrameRecord]:
    return [describe(path).record for path in night]


def test_every_frame_has_a_name_of_its_own(night: list[Path], records: list[FrameRecord]) -> None:
    assert len(night) == len({record.basename for record in records}) == 24
    assert {path.name.partition(".")[2] for path in night} == {"fits", "fits.fz"}


def test_two_telescopes_take_calibrations_and_science(records: list[FrameRecord]) -> None:
    assert {(record.site_id, record.telescope_id) for record in records} == {("coj", "1m0a"), ("tfn", "0m4a")}
    assert {record.configuration_type for record in records} == {"BIAS", "DARK", "SKYFLAT", "EXPOSE"}
    assert {record.observation_day for record in records} == {DAY}


def test_every_reduced_frame_comes_with_its_raw_frame_and_names_it(records: list[FrameRecord]) -> None:
    names = {record.basename for record in records}
    reduced = [record for record in records if record.reduction_level == 91]
    assert len(reduced) == 8
    for record in reduced:
        raw = record.basename.replace("-e91", "-e00")
        assert raw in names
        assert raw in record.related
        assert len(record.related) == 5


def test_science_frames_lie_on_the_sky_and_calibrations_do_not(records: list[FrameRecord]) -> None:
    for record in records:
        assert (record.area is not None) == (record.configuration_type == "EXPOSE")
        if record.area is not None:
            decs = [dec for _, dec in record.area.coordinates[0]]
            assert max(decs) - min(decs) == pytest.approx(26 / 60, abs=0.01)


def test_some_frames_are_public_at_once_and_others_a_year_later(records: list[FrameRecord]) -> None:
    dates = [record.public_date for record in records if record.configuration_type == "EXPOSE"]
    tonight = datetime(2026, 3, 16, tzinfo=UTC)
    assert {moment is not None and moment < tonight for moment in dates} == {True, False}


def test_the_same_seed_gives_the_same_bytes(night: list[Path], tmp_path: Path) -> None:
    again = make_night(tmp_path, day=DAY)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in night]
    other = make_night(tmp_path, day=DAY, seed=2, frames=3)
    assert [path.read_bytes() for path in other] != [path.read_bytes() for path in again[:3]]


def test_astropy_finds_nothing_to_mend_and_unpacks_the_pixels(night: list[Path]) -> None:
    for path in night[::3]:
        with fits.open(path) as hdus:
            hdus.verify("exception")
            assert hdus[-1].data.shape == (256, 256)
            assert len(hdus[-1].header) >= 150
            assert hdus[-1].data.std() > 1


@pytest.mark.parametrize("frames", [0, 1, 2, 5, 60])
def test_a_night_has_as_many_frames_as_asked_for(tmp_path: Path, frames: int) -> None:
    paths = make_night(tmp_path, frames=frames, day=DAY, size=32)
    assert len(set(paths)) == frames
    assert all(describe(path) for path in paths)
