"""The record of a frame follows from its header by the rules of the OCS archive library."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.fits.reader import FitsReader
from adapters.fits.settings import FitsSettings
from domain.errors import InvalidFile, MissingHeader
from domain.frame_record import FrameRecord
from tests.unit.fits.fits_files import NAME, compressed, describe, plain, raw_header, required_cards, structural


def record(folder: Path, **changes: Any) -> FrameRecord:
    return describe(plain(folder, **changes)).record


def test_g06_every_field_comes_from_its_header(tmp_path: Path) -> None:
    assert record(tmp_path, L1PUBDAT="2025-05-17T03:12:45", L1IDBIAS="bias.fits.fz") == FrameRecord(
        basename=NAME,
        observation_day=date(2024, 5, 16),
        configuration_type="EXPOSE",
        observation_date=datetime(2024, 5, 17, 3, 12, 45, 678000, UTC),
        public_date=datetime(2025, 5, 17, 3, 12, 45, tzinfo=UTC),
        proposal_id="TST2024A-001",
        instrument_id="fa20",
        target_name="M84",
        site_id="tst",
        telescope_id="1m0a",
        primary_optical_element="rp",
        reduction_level=0,
        exposure_time=30.5,
        observation_id=123456,
        request_id=789,
        related=("bias",),
    )


def test_g06_the_keys_are_settings(tmp_path: Path) -> None:
    reader = FitsReader(FitsSettings.from_environment({"TARGET_NAME_KEY": "TARGET", "EXPOSURE_TIME_KEY": "SECONDS"}))
    found = describe(plain(tmp_path, TARGET="M99", SECONDS=2), reader).record
    assert (found.target_name, found.exposure_time) == ("M99", 2.0)


RENAMED: dict[str, tuple[Any, str, Any]] = {
    "OBSERVATION_DATE_KEY": ("2024-05-17T03:12:45", "observation_date", datetime(2024, 5, 17, 3, 12, 45, tzinfo=UTC)),
    "OBSERVATION_DAY_KEY": ("20240516", "observation_day", date(2024, 5, 16)),
    "REDUCTION_LEVEL_KEY": (17, "reduction_level", 17),
    "EXPOSURE_TIME_KEY": (2.5, "exposure_time", 2.5),
    "INSTRUMENT_ID_KEY": ("cam1", "instrument_id", "cam1"),
    "SITE_ID_KEY": ("abc", "site_id", "abc"),
    "TELESCOPE_ID_KEY": ("t1", "telescope_id", "t1"),
    "OBSERVATION_ID_KEY": ("0042", "observation_id", 42),
    "REQUEST_ID_KEY": ("0043", "request_id", 43),
    "PRIMARY_OPTICAL_ELEMENT_KEY": ("B", "primary_optical_element", "B"),
    "TARGET_NAME_KEY": ("M99", "target_name", "M99"),
    "CONFIGURATION_TYPE_KEY": ("ARC", "configuration_type", "ARC"),
    "PROPOSAL_ID_KEY": ("p1", "proposal_id", "p1"),
    "PUBLIC_DATE_KEY": ("2024-06-01T00:00:00", "public_date", datetime(2024, 6, 1, tzinfo=UTC)),
    "RELATED_FRAME_KEYS": ("flat.fits", "related", ("flat",)),
}


def test_g06_every_key_of_the_record_is_a_setting(tmp_path: Path) -> None:
    keys = {variable: f"OTHER{number}" for number, variable in enumerate(RENAMED)}
    values = {keys[variable]: value for variable, (value, _, _) in RENAMED.items()}
    reader = FitsReader(FitsSettings.from_environment({**keys, "REQUIRED_HEADERS": keys["SITE_ID_KEY"]}))
    found = describe(plain(tmp_path, L1IDBIAS="ignored.fits", **values), reader).record
    assert {field: getattr(found, field) for _, field, _ in RENAMED.values()} == {
        field: expected for _, field, expected in RENAMED.values()
    }


@pytest.mark.parametrize("variable", ["CONFIGURATION_ID_KEY", "REQUESTGROUP_ID_KEY"])
def test_g06_g08_the_other_integer_keys_are_settings(tmp_path: Path, variable: str) -> None:
    reader = FitsReader(FitsSettings.from_environment({variable: "OTHER"}))
    assert describe(plain(tmp_path, OTHER="N/A"), reader).headers["OTHER"] is None


def test_g06_the_keys_of_a_circle_and_of_a_catalog_are_settings(tmp_path: Path) -> None:
    keys = {"RADIUS_KEY": "FIELD", "RA_KEY": "HOURS", "DEC_KEY": "DEGREES", "CATALOG_TARGET_FRAME_KEY": "CATOF"}
    reader = FitsReader(FitsSettings.from_environment(keys))
    found = describe(compressed(tmp_path, "a-e91_cat.fits.fz", FIELD=3600, HOURS="1:00:00", DEGREES=5), reader)
    assert found.record.area is not None
    assert found.record.area.coordinates[0][0] == (14.0, 6.0)
    assert found.headers["CATOF"] == "a-e91"


@pytest.mark.parametrize("word", ["N/A", "UNSPECIFIED", "UNKNOWN", "N/A   "])
def test_g08_null_words_mean_nothing(tmp_path: Path, word: str) -> None:
    described = describe(plain(tmp_path, OBJECT=word, REQNUM=word, TRACKNUM=word))
    assert (described.record.target_name, described.record.request_id) == ("", None)
    assert (described.headers["OBJECT"], described.headers["REQNUM"], described.headers["TRACKNUM"]) == ("", None, None)


@pytest.mark.parametrize("text", ["None", "NONE", "{NONE}", "", "   "])
def test_g08_a_number_of_the_scheduler_that_is_none_is_null(tmp_path: Path, text: str) -> None:
    assert record(tmp_path, BLKUID=text).observation_id is None


@pytest.mark.parametrize(
    ("value", "expected"), [(42, 42), ("42", 42), (" 0042", 42), (42.0, 42), (2147483647, 2147483647)]
)
def test_numbers_of_the_scheduler_may_be_text(tmp_path: Path, value: Any, expected: int) -> None:
    assert record(tmp_path, BLKUID=value).observation_id == expected


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("BLKUID", "twelve", "isn't a whole number"),
        ("BLKUID", True, "isn't a whole number"),
        ("BLKUID", 1.5, "isn't a whole number"),
        ("BLKUID", 2147483648, "must be from 0 to 2147483647"),
        ("REQNUM", -1, "must be from 0"),
        ("RLEVEL", "abc", "isn't a whole number"),
        ("RLEVEL", 32768, "must be from -32768 to 32767"),
        ("EXPTIME", "long", "isn't a number"),
        ("EXPTIME", "nan", "isn't a number"),
        ("DATE__OBS", "yesterday", "isn't a date and time"),
        ("DATE__OBS", "2024-02-30T00:00:00", "isn't a date and time"),
        ("DATE__OBS", "2024-05-17T25:00:00", "isn't a date and time"),
        ("DATE__OBS", "0001-01-01T00:00:00+05:00", "isn't a date and time"),
        ("DATE__OBS", "9999-06-01T00:00:00", "too late for a public date"),
        ("DAY__OBS", "2024-13-01", "isn't a day"),
        ("DAY__OBS", "tonight", "isn't a day"),
        ("L1PUBDAT", "soon", "isn't a date and time"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused_by_name(tmp_path: Path, key: str, value: Any, why: str) -> None:
    with pytest.raises(InvalidFile, match=why) as refusal:
        record(tmp_path, **{key: value})
    assert key.replace("__", "-") in str(refusal.value)
    assert f"{NAME}.fits" in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-17", datetime(2024, 5, 17, tzinfo=UTC)),
        ("2024-05-17T03:12", datetime(2024, 5, 17, 3, 12, tzinfo=UTC)),
        ("2024-05-17 03:12:45Z", datetime(2024, 5, 17, 3, 12, 45, tzinfo=UTC)),
        ("2024-05-17T03:12:45.123456789", datetime(2024, 5, 17, 3, 12, 45, 123456, UTC)),
        ("2024-05-17T03:12:45+05:30", datetime(2024, 5, 16, 21, 42, 45, tzinfo=UTC)),
        ("2016-12-31T23:59:60.5", datetime(2017, 1, 1, 0, 0, 0, 500000, UTC)),
        ("17/05/98", datetime(1998, 5, 17, tzinfo=UTC)),
    ],
)
def test_dates_are_read_in_every_fits_form(tmp_path: Path, text: str, expected: datetime) -> None:
    assert record(tmp_path, DATE__OBS=text).observation_date == expected


@pytest.mark.parametrize("day", ["", "N/A", "UNKNOWN"])
def test_g10_a_blank_day_is_the_date_of_the_exposure(tmp_path: Path, day: str) -> None:
    described = describe(plain(tmp_path, DATE__OBS="2020-01-31T23:00:00-04:00", DAY__OBS=day))
    assert described.record.observation_day == date(2020, 1, 31)
    assert described.headers["DAY-OBS"] == "20200131"


def test_g10_a_day_that_is_not_required_may_be_absent(tmp_path: Path) -> None:
    reader = FitsReader(FitsSettings(required_headers=("DATE-OBS",)))
    described = describe(plain(tmp_path, DAY__OBS=None, DATE__OBS="2020-01-31T23:00:00"), reader)
    assert described.headers["DAY-OBS"] == "20200131"


@pytest.mark.parametrize("value", ["20240516", 20240516, "2024-05-16"])
def test_the_day_is_read_in_both_forms(tmp_path: Path, value: Any) -> None:
    assert record(tmp_path, DAY__OBS=value).observation_day == date(2024, 5, 16)


def test_g07_a_blank_required_date_is_a_missing_header(tmp_path: Path) -> None:
    with pytest.raises(MissingHeader, match="DATE-OBS"):
        record(tmp_path, DATE__OBS="N/A")


def test_a_date_that_is_not_required_may_be_absent(tmp_path: Path) -> None:
    found = describe(plain(tmp_path, DATE__OBS=None), FitsReader(FitsSettings(required_headers=()))).record
    assert (found.observation_date, found.public_date) == (None, None)


def test_g09_related_names_come_in_the_order_of_the_keys_without_extensions(tmp_path: Path) -> None:
    described = describe(
        plain(tmp_path, ORIGNAME="raw-e00.fits", L1IDMASK="bpm.fits.fz", L1IDBIAS="bias", L1IDFLAT="N/A", L1IDDARK="")
    )
    assert described.record.related == ("bias", "bpm", "raw-e00")
    assert described.headers["ORIGNAME"] == "raw-e00"


def test_g07_blacklisted_and_nameless_headers_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    path.write_bytes(
        raw_header(*structural(), *required_cards(), "HISTORY made", "COMMENT x", "        = 'nameless'", "")
    )
    assert not {"HISTORY", "COMMENT", ""} & describe(path).headers.keys()
    kept = describe(path, FitsReader(FitsSettings(header_blacklist=("OBJECT",)))).headers
    assert (kept["HISTORY"], kept["COMMENT"], "OBJECT" in kept) == ("made", "x", False)


def test_headers_hold_only_what_json_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    odd = ["BIG     = " + "9" * 40, "HUGE    = 1E999", "PAIR    = (1.0, 2.0)", "EMPTY   =", "FLAG    =  T", "NAN = NaN"]
    odd += [
        "HIERARCH ESO DET = 5",
        "LONG    = 'one &'",
        "CONTINUE  'two'",
        "TWICE   = 1",
        "TWICE   = 2",
        "no card at all",
    ]
    path.write_bytes(raw_header(*structural(), *required_cards(), *odd, b"BYTES   = 'caf\xc3\xa9\0'"))
    headers = describe(path).headers
    expected = {"BIG": 1e40, "HUGE": None, "PAIR": "(1+2j)", "EMPTY": None, "FLAG": True, "ESO DET": 5, "TWICE": 1}
    assert headers.items() >= {**expected, "LONG": "one two", "BYTES": "caf??"}.items()
    assert "NAN" not in headers


def test_g14_plain_fits_keeps_its_level_and_type(tmp_path: Path) -> None:
    found = describe(plain(tmp_path, "tst1m012-fa20-20240517-0042-b91.fits", OBSTYPE="UNKNOWN", RLEVEL=None))
    assert (found.record.configuration_type, found.record.reduction_level) == ("", 0)
    assert found.path == "tst/fa20/20240516/raw/tst1m012-fa20-20240517-0042-b91.fits"


@pytest.mark.parametrize(
    ("ending", "level", "expected"),
    [("e91", None, 91), ("e91", "N/A", 91), ("e91", 0, 0), ("e00", "91", 91), ("x2", None, 0)],
)
def test_g14_a_compressed_frame_without_level_takes_it_from_its_name(
    tmp_path: Path, ending: str, level: Any, expected: int
) -> None:
    found = describe(compressed(tmp_path, f"tst1m012-fa20-20240517-0042-{ending}.fits.fz", RLEVEL=level))
    assert found.record.reduction_level == expected
    assert int(str(found.headers["RLEVEL"])) == expected
    assert ("/processed/" in found.path) == (expected != 0)


@pytest.mark.parametrize(("letter", "expected"), [("b", "BIAS"), ("x", "EXPERIMENTAL"), ("e", "EXPOSE")])
@pytest.mark.parametrize("blank", ["", "UNKNOWN"])
def test_g13_a_compressed_frame_without_type_takes_it_from_its_name(
    tmp_path: Path, letter: str, expected: str, blank: str
) -> None:
    found = describe(compressed(tmp_path, f"tst1m012-fa20-20240517-0042-{letter}00.fits.fz", OBSTYPE=blank))
    assert found.record.configuration_type == expected


def test_an_inferred_calibration_is_public_at_once(tmp_path: Path) -> None:
    found = describe(compressed(tmp_path, "tst1m012-fa20-20240517-0042-b00.fits.fz", OBSTYPE="UNKNOWN")).record
    assert found.public_date == found.observation_date


def test_g15_a_catalog_names_the_frame_that_it_belongs_to(tmp_path: Path) -> None:
    found = describe(compressed(tmp_path, f"{NAME}_cat.fits.fz"))
    assert found.record.configuration_type == "CATALOG"
    assert found.headers["L1IDCAT"] == NAME
    assert found.record.related == (NAME,)


def test_g15_a_catalog_that_names_its_frame_itself_is_believed(tmp_path: Path) -> None:
    assert describe(compressed(tmp_path, f"{NAME}_cat.fits.fz", L1IDCAT="other.fits")).record.related == ("other",)


@pytest.mark.parametrize(
    ("name", "changes"),
    [("bpm-fa20", {}), ("tst-bpm-fa20", {}), ("tst_bpm", {}), (NAME, {"OBSTYPE": "BPM"}), (NAME, {"EXTNAME": "BPM"})],
)
def test_a_mask_has_a_place_of_its_own(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    reader = FitsReader()
    path = compressed(tmp_path, f"{name}.fits.fz", **{"OBSTYPE": "DARK"} | changes)
    described = reader.describe(path, path.name, {"EXTNAME": changes["EXTNAME"]} if "EXTNAME" in changes else None)
    assert described.path == f"tst/fa20/bpm/{name}.fits.fz"


def test_g13_a_frame_whose_type_nothing_tells_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="correct the header"):
        describe(compressed(tmp_path, "holiday.fits.fz", OBSTYPE=""))


def test_g05_metadata_alone_make_a_record_where_the_kind_allows_it(tmp_path: Path) -> None:
    settings = FitsSettings.from_environment({"FILETYPE_MAPPING_OVERRIDES": "{'.pdf': 'DataFile'}"})
    metadata: dict[str, Any] = {
        "PROPID": "p",
        "DATE-OBS": "2024-05-17",
        "DAY-OBS": "20240516",
        "INSTRUME": "i",
        "SITEID": "s",
    }
    metadata |= {"TELID": "t", "OBSTYPE": "EXPOSE", "BLKUID": float("nan")}
    described = FitsReader(settings).describe(tmp_path / "x.pdf", "x.pdf", metadata)
    assert (described.path, described.record.observation_id) == ("s/i/20240516/raw/x.pdf", None)
    with pytest.raises(MissingHeader, match="PROPID"):
        FitsReader(settings).describe(tmp_path / "x.pdf", "x.pdf")


def test_g16_a_soar_frame_takes_its_level_from_its_prefix(tmp_path: Path) -> None:
    reader = FitsReader(FitsSettings.from_environment({"FILETYPE_MAPPING_OVERRIDES": "{'.fits': 'SOARFitsFile'}"}))
    for prefix, level in (("wecfzst", 64), ("ecfzst", 63), ("cfzst", 62), ("fzst", 7)):
        found = describe(plain(tmp_path, f"{prefix}_0042.fits", RLEVEL=7), reader)
        assert found.record.reduction_level == level
