"""Our reading of files and the OCS file library's, as the ingester 3.2 uses it, give the same records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io.fits import Header, PrimaryHDU

from adapters.fits.reader import FitsReader
from adapters.fits.settings import FitsSettings
from application.ports.frame_reader import Described
from tests.conformance.conftest import REAL
from tests.conformance.environments import Unavailable
from tests.conformance.ingester import Ingester, running_ingester
from tests.conformance.made_files import image, packed
from tests.conformance.test_ocs_ingester import MADE

Start = Callable[[Mapping[str, str]], Ingester]
COUNTED = ("BZERO", "BSCALE")
"""What astropy adds to or takes from a header by itself."""


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts a client with these settings, once for each."""
    running: dict[str, Ingester] = {}
    with ExitStack() as stack:

        def begin(environment: Mapping[str, str]) -> Ingester:
            key = repr(sorted(environment.items()))
            if key not in running:
                try:
                    running[key] = stack.enter_context(running_ingester("3.2", environment))
                except Unavailable as error:
                    pytest.skip(str(error))
            return running[key]

        yield begin


def instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def number(value: Any) -> int | None:
    return None if value in (None, "") else int(value)


def agree(ours: Described, theirs: dict[str, Any]) -> None:
    """The same record, but for the forms of numbers and times."""
    record = ours.record
    for name in (
        "basename reduction_level proposal_id instrument_id target_name site_id telescope_id primary_optical_element "
        "configuration_type"
    ).split():
        assert getattr(record, name) == theirs[name], name
    assert record.exposure_time == pytest.approx(theirs["exposure_time"])
    assert f"{record.observation_day:%Y%m%d}" == theirs["observation_day"].replace("-", "")
    assert [record.observation_date, record.public_date] == [
        instant(theirs[name]) for name in ("observation_date", "public_date")
    ]
    assert [record.observation_id, record.request_id] == [
        number(theirs[name]) for name in ("observation_id", "request_id")
    ]
    assert list(record.related) == list(dict.fromkeys(theirs["related_frame_filenames"]))
    if theirs["area"] is None:
        assert record.area is None
    else:
        assert record.area is not None
        (ring,), (expected,) = record.area.coordinates, theirs["area"]["coordinates"]
        for found, wanted in zip(ring, expected, strict=True):
            assert found == pytest.approx(wanted, abs=1e-9)
    assert {key: value for key, value in ours.headers.items() if key not in COUNTED} == {
        key: value for key, value in theirs["headers"].items() if key not in COUNTED
    }


@pytest.mark.parametrize("kind", MADE)
def test_g03_g04_g08_g09_g17_g18_g19_a_made_file_gives_the_same_record(
    start: Start, made: dict[str, Path], kind: str
) -> None:
    agree(FitsReader().describe(made[kind], made[kind].name), start({}).record(made[kind]))


@pytest.mark.skipif(not REAL.is_dir(), reason="the folder of real FITS files isn't there")
def test_g03_g11_g15_g17_real_frames_give_the_same_records(start: Start) -> None:
    for file in sorted(REAL.glob("*.fits*")):
        agree(FitsReader().describe(file, file.name), start({}).record(file))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("tst1m012-fa20-20240516-0001-b00", {"OBSTYPE": "UNKNOWN"}),
        ("tst1m012-fa20-20240516-0001-w00", {"OBSTYPE": ""}),
        ("ogg2m001-en06-20240516-0001-e00", {"OBSTYPE": "UNKNOWN"}),
        ("lscnrs01-fa09-20240516-0001-a00", {"OBSTYPE": "UNKNOWN", "ENCID": "igla"}),
        ("lscnrs01-fa09-20240516-0001-e00", {"OBSTYPE": "UNKNOWN", "TELID": "igla"}),
        ("tst1m012-fa20-20240516-bpm-full", {"OBSTYPE": "UNKNOWN", "RLEVEL": None}),
        ("tst1m012-fa20-20240516-0001-e91", {"RLEVEL": None}),
        ("tst1m012-fa20-20240516-0001-e91", {"RLEVEL": 0}),
        ("tst1m012-fa20-20240516-0001-e91", {"RLEVEL": "91"}),
        ("tst1m012-fa20-20240516-0001-e10_cat", {"RLEVEL": None, "L1IDCAT": None}),
        ("tst1m012-fa20-20240516-0001-e10_cat", {"L1IDCAT": "another-e10.fits"}),
        ("any-name", {"RLEVEL": None}),
    ],
)
def test_g13_g14_g15_what_names_tell_is_the_same(
    start: Start, tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    file = tmp_path / f"{name}.fits.fz"
    packed(**changes).writeto(file)
    agree(FitsReader().describe(file, file.name), start({}).record(file))


@pytest.mark.parametrize(
    "changes",
    [
        {"PROPID": "calibrate"},
        {"PROPID": "LCOEngineering"},
        {"PROPID": "LCOEngineering", "OBSTYPE": "DARK"},
        {"PROPID": "EPO-LCOEngineering"},
        {},
    ],
)
def test_g10_g11_days_and_public_dates_are_the_same(start: Start, tmp_path: Path, changes: dict[str, Any]) -> None:
    file = tmp_path / "x-e00.fits"
    image(L1PUBDAT=None, DAY__OBS="", **{"DATE__OBS": "2020-01-31T23:50:00", **changes}).writeto(file)
    agree(FitsReader().describe(file, file.name), start({}).record(file))


OTHER_KEYS = {
    "OBSERVATION_DATE_KEY": "DATE", "OBSERVATION_DAY_KEY": "NIGHT", "REDUCTION_LEVEL_KEY": "LEVEL",
    "EXPOSURE_TIME_KEY": "SECONDS", "INSTRUMENT_ID_KEY": "CAMERA", "SITE_ID_KEY": "SITE", "TELESCOPE_ID_KEY": "TEL",
    "OBSERVATION_ID_KEY": "OBSID", "REQUEST_ID_KEY": "REQID", "CONFIGURATION_ID_KEY": "CONFID",
    "REQUESTGROUP_ID_KEY": "GROUPID", "PRIMARY_OPTICAL_ELEMENT_KEY": "OPTICS", "TARGET_NAME_KEY": "TARGET",
    "CONFIGURATION_TYPE_KEY": "KIND", "PROPOSAL_ID_KEY": "PROPOSAL", "PUBLIC_DATE_KEY": "RELEASE",
    "CATALOG_TARGET_FRAME_KEY": "CATOF", "RADIUS_KEY": "FIELD", "RA_KEY": "RIGHTASC", "DEC_KEY": "DECLIN",
    "RELATED_FRAME_KEYS": "FLATOF,CATOF,BIASOF",
}  # fmt: skip
OTHER_RULES = {
    "REQUIRED_HEADERS": "DATE,SITE", "HEADER_BLACKLIST": "SECRET,COMMENT", "NULL_HEADER_VALUES": "none,-",
    "CALIBRATION_TYPES": "ZERO", "PUBLIC_PROPOSALS": "open", "PRIVATE_PROPOSALS": "closed",
    "PRIVATE_FILE_TYPES": "-p00", "DAYS_UNTIL_PUBLIC": "30",
    "FILETYPE_MAPPING_OVERRIDES": "{'.fits': 'ocs_archive.input.lcofitsfile.LcoFitsFile'}",
}  # fmt: skip
OTHER_HEADER = {
    "DATE": "2024-05-17T03:12:45", "NIGHT": "20240516", "LEVEL": 17, "SECONDS": 2.5, "CAMERA": "cam1", "SITE": "abc",
    "TEL": "t1", "OBSID": "0042", "REQID": "none", "CONFID": "-", "GROUPID": "NONE", "OPTICS": "B", "TARGET": "M99",
    "KIND": "ZERO", "PROPOSAL": "p1", "RELEASE": "2024-06-01T00:00:00", "FIELD": 60.0, "RIGHTASC": "10:00:00",
    "DECLIN": "-20:30:00", "FLATOF": "flat.fits.fz", "BIASOF": "bias", "CATOF": "-", "SECRET": "hidden",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("a-e00", {}),
        ("a-e00", {"RELEASE": None}),
        ("a-e00", {"RELEASE": None, "KIND": "EXPOSE"}),
        ("a-e00", {"RELEASE": None, "KIND": "EXPOSE", "PROPOSAL": "the-open-one"}),
        ("a-e00", {"RELEASE": None, "KIND": "EXPOSE", "PROPOSAL": "the-closed-one"}),
        ("a-p00", {"RELEASE": None, "KIND": "EXPOSE"}),
        ("a-e00_cat", {"LEVEL": None}),
        ("a-e33", {"LEVEL": None}),
    ],
)
def test_g02_g06_g07_settings_from_the_environment_change_both_alike(
    start: Start, tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    environment = {**OTHER_KEYS, **OTHER_RULES}
    file = tmp_path / f"{name}.fits"
    header = Header([(key, value) for key, value in {**OTHER_HEADER, **changes}.items() if value is not None])
    PrimaryHDU(np.zeros((3, 3), np.int16), header).writeto(file)
    reader = FitsReader(FitsSettings.from_environment(environment))
    ours = reader.describe(file, file.name)
    agree(ours, start(environment).record(file))
    assert "SECRET" not in ours.headers
    assert ours.record.site_id == "abc"
