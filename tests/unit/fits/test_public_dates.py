"""When a frame becomes public."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.fits.public_dates import public_from
from adapters.fits.reader import FitsReader
from adapters.fits.settings import FitsSettings
from tests.unit.fits.fits_files import describe, plain

OBSERVED = datetime(2016, 4, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


def public(settings: FitsSettings | None = None, **changes: Any) -> timedelta:
    facts: dict[str, Any] = {"proposal": "TST2024A-001", "configuration_type": "EXPOSE", "basename": "x-e00"}
    return public_from(OBSERVED, settings=settings or FitsSettings(), **{**facts, **changes}) - OBSERVED


def test_g11_data_are_public_after_a_year() -> None:
    assert public() == YEAR
    assert public(FitsSettings(days_until_public=10)) == timedelta(days=10)


@pytest.mark.parametrize("kind", ["BIAS", "DARK", "SKYFLAT", "EXPERIMENTAL"])
def test_g11_calibrations_are_public_at_once_even_of_private_proposals_and_names(kind: str) -> None:
    assert public(configuration_type=kind, proposal="LCOEngineering", basename="a-x00") == timedelta(0)


@pytest.mark.parametrize("proposal", ["LCOEPO2014B-010", "calibrate", "standard", "auto_pointing"])
def test_g11_proposals_with_a_public_fragment_are_public_at_once(proposal: str) -> None:
    assert public(proposal=proposal) == timedelta(0)


@pytest.mark.parametrize("changes", [{"proposal": "LCOEngineering"}, {"basename": "a-t00"}, {"basename": "a-x00_b"}])
def test_g11_private_proposals_and_file_types_stay_private_for_a_lifetime(changes: dict[str, Any]) -> None:
    assert OBSERVED + public(**changes) == datetime(3014, 8, 3, tzinfo=UTC)


def test_tags_of_the_portal_come_first_and_private_ones_before_public_ones() -> None:
    assert public(proposal_tags=lambda proposal: {"internal", "public"}, configuration_type="BIAS") == YEAR * 999
    assert public(proposal_tags=lambda proposal: {"public"}, proposal="LCOEngineering") == timedelta(0)
    assert public(proposal_tags=lambda proposal: set()) == YEAR


def test_g11_empty_lists_match_nothing() -> None:
    lists = ("PUBLIC_PROPOSALS", "PRIVATE_PROPOSALS", "PRIVATE_FILE_TYPES", "CALIBRATION_TYPES")
    settings = FitsSettings.from_environment(dict.fromkeys(lists, ""))
    assert public(settings, configuration_type="BIAS", proposal="calibrate", basename="a-t00") == YEAR


def test_g11_the_header_wins_over_every_rule(tmp_path: Path) -> None:
    path = plain(tmp_path, PROPID="LCOEngineering", L1PUBDAT="2024-06-01T00:00:00")
    assert describe(path).record.public_date == datetime(2024, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize("blank", [None, "", "N/A", "UNKNOWN"])
def test_g11_a_blank_public_date_is_filled_in_the_headers_too(tmp_path: Path, blank: str | None) -> None:
    described = describe(plain(tmp_path, L1PUBDAT=blank))
    assert described.record.public_date == datetime(2025, 5, 17, 3, 12, 45, 678000, UTC)
    assert described.headers["L1PUBDAT"] == "2025-05-17T03:12:45.678000"


def test_g11_a_public_frame_repeats_its_date_as_the_header_writes_it(tmp_path: Path) -> None:
    assert describe(plain(tmp_path, OBSTYPE="BIAS")).headers["L1PUBDAT"] == "2024-05-17T03:12:45.678"


def test_the_reader_asks_for_the_tags_of_the_frames_proposal(tmp_path: Path) -> None:
    asked = []

    def tags(proposal: str) -> set[str]:
        asked.append(proposal)
        return {"private"}

    path = plain(tmp_path)
    found = FitsReader(proposal_tags=tags).describe(path, path.name).record
    assert asked == ["TST2024A-001"]
    assert found.public_date is not None
    assert found.public_date.year == 3022
