"""Settings come from the variables that OCS programs use."""

from __future__ import annotations

import pytest

from adapters.fits.file_kinds import FileKind
from adapters.fits.settings import FitsSettings
from domain.errors import Misconfigured


def test_nothing_set_gives_the_defaults() -> None:
    assert FitsSettings.from_environment({}) == FitsSettings()


def test_g06_lists_lose_spaces_and_outer_commas_and_may_be_empty() -> None:
    settings = FitsSettings.from_environment({"REQUIRED_HEADERS": ",A, B C,,D,", "HEADER_BLACKLIST": ""})
    assert (settings.required_headers, settings.header_blacklist) == (("A", "BC", "D"), ())


def test_g06_keys_numbers_and_limits_are_read() -> None:
    settings = FitsSettings.from_environment(
        {
            "RELATED_FRAME_KEYS": "BIASFILE,DARKFILE",
            "OBSERVATION_ID_KEY": "OBSID",
            "SITE_ID_KEY": "",
            "DAYS_UNTIL_PUBLIC": "30",
            "STARFERRY_MAX_FRAME_BYTES": "2000000",
        }
    )
    assert settings.related_frame_keys == ("BIASFILE", "DARKFILE")
    assert "OBSID" in settings.integer_keys
    assert (settings.site_id_key, settings.days_until_public, settings.max_frame_bytes) == ("SITEID", 30, 2_000_000)


@pytest.mark.parametrize("value", ["soon", "-1", "1.5", "9" * 30, "٣"])
def test_a_number_that_cannot_be_right_is_named(value: str) -> None:
    with pytest.raises(Misconfigured, match="DAYS_UNTIL_PUBLIC"):
        FitsSettings.from_environment({"DAYS_UNTIL_PUBLIC": value})


def test_g02_kinds_of_files_can_be_overridden() -> None:
    override = "{'.fits': 'ocs_archive.input.lcofitsfile.LcoFitsFile', '.txt': 'DataFile'}"
    kinds = FitsSettings.from_environment({"FILETYPE_MAPPING_OVERRIDES": override}).file_kinds
    assert (kinds[".fits"], kinds[".txt"], kinds[".fits.fz"]) == (
        FileKind.LCO_FITS,
        FileKind.METADATA,
        FileKind.LCO_FITS,
    )


@pytest.mark.parametrize("text", ["{", "[]", "{1: 2}", "{'.fits': 'a.b.Unheard'}", "__import__('os')"])
def test_g02_an_override_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="FILETYPE_MAPPING_OVERRIDES"):
        FitsSettings.from_environment({"FILETYPE_MAPPING_OVERRIDES": text})
