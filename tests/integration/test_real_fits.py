"""Real frames of an observatory, where the folder with them lies beside the checkout."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from astropy.io import fits

from adapters.fits.reader import FitsReader
from application.ports.frame_reader import Described
from domain.errors import InvalidFile

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "fits"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder of real FITS files isn't there")


def described(name: str) -> Described:
    return FitsReader().describe(FOLDER / name, name)


M84 = "coj1m011-kb05-20150219-0125-e90"

EXPECTED: dict[str, dict[str, Any]] = {
    f"{M84}.fits": {
        "proposal_id": "LCOEPO2014B-010",
        "configuration_type": "EXPOSE",
        "observation_day": date(2015, 2, 19),
        "request_id": 296263,
        "target_name": "M84",
        "reduction_level": 0,
        "public_date": datetime(2015, 2, 19, 13, 56, 5, tzinfo=UTC),
    },
    f"{M84}.fits.fz": {"request_id": 296263, "target_name": "M84", "reduction_level": 90},
    "cpt1m010-kb70-20151219-0073-e10.fits": {
        "proposal_id": "pointing",
        "configuration_type": "EXPOSE",
        "public_date": datetime(2016, 12, 19, 18, 22, 15, tzinfo=UTC),
        "request_id": None,
    },
    "cpt1m010-kb70-20151219-0073-e10_cat.fits.fz": {"configuration_type": "CATALOG", "area": None},
    "bias_kb70_20151221_bin2x2.fits": {
        "proposal_id": "calibrate",
        "configuration_type": "BIAS",
        "observation_id": 74180136,
        "request_id": None,
        "target_name": "Output from MAKEBIAS",
        "primary_optical_element": "Y",
        "exposure_time": 0.0,
        "area": None,
        "related": ("bpm-kb70_bin2x2", "cpt1m010-kb70-20151221-0003-b00"),
    },
    "bias_kb70_20151221_bin2x2.fits.fz": {"configuration_type": "BIAS", "area": None},
    "flat_kb70_20151222_SKYFLAT_bin2x2_ip.fits.fz": {"proposal_id": "calibrate", "configuration_type": "SKYFLAT"},
    "sqa0m801-kb35-20151216-0966-g00.fits.fz": {
        "proposal_id": "DDT2015B-002",
        "configuration_type": "GUIDE",
        "public_date": datetime(2016, 12, 16, 6, 48, 31, 970000, UTC),
    },
    "tfn0m414-kb29-20151216-0380-t00.fits": {
        "proposal_id": "SDO",
        "configuration_type": "TRAILED",
        "public_date": datetime(3014, 4, 19, 0, 38, 57, 833000, UTC),
    },
    "coj1m011-fl08-20151216-0048-x00.fits.fz": {
        "proposal_id": "auto_focus",
        "configuration_type": "EXPERIMENTAL",
        "public_date": datetime(2015, 12, 16, 11, 48, 39, 307000, UTC),
    },
    "coj1m011-fl08-20151216-0049-b00.fits.fz": {"configuration_type": "BIAS", "area": None, "target_name": ""},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_frame_gives_the_reference_record(name: str) -> None:
    record = described(name).record
    assert {field: getattr(record, field) for field in EXPECTED[name]} == EXPECTED[name]


def test_packed_and_unpacked_give_the_same_record_but_for_level_and_path() -> None:
    plain, packed = described(f"{M84}.fits"), described(f"{M84}.fits.fz")
    assert msgspec.structs.replace(plain.record, reduction_level=90) == packed.record
    assert len(plain.record.related) == 5
    assert plain.path == f"coj/kb05/20150219/raw/{M84}.fits"
    assert packed.path == f"coj/kb05/20150219/processed/{M84}.fits.fz"


@pytest.mark.parametrize(
    ("name", "corners"),
    [
        (
            f"{M84}.fits",
            [(186.40492, 13.02469), (186.40493, 13.02417), (186.13294, 13.02257), (186.13294, 13.02309)],
        ),
        ("coj1m011-fl08-20151216-0048-x00.fits.fz", [(59.877, -22.263)]),
    ],
)
def test_a_real_frame_has_the_reference_outline(name: str, corners: list[tuple[float, float]]) -> None:
    area = described(name).record.area
    assert area is not None
    for found, expected in zip(area.coordinates[0], corners, strict=False):
        assert found == pytest.approx(expected, abs=5e-4 if len(corners) == 1 else 5e-6)


@pytest.mark.parametrize("name", EXPECTED)
def test_headers_are_those_that_astropy_reads(name: str) -> None:
    with fits.open(FOLDER / name) as hdus:
        theirs = next(hdu.header for hdu in hdus if "PROPID" in hdu.header)
        expected = {key: theirs[key] for key in theirs if key not in ("COMMENT", "HISTORY", "")}
    ours = described(name).headers
    changed = {key for key in expected if key not in ours or ours[key] != expected[key]}
    assert all(
        expected[key] in ("N/A", "UNSPECIFIED", "UNKNOWN") or ".fits" in str(expected[key])
        for key in changed - {"OBSTYPE"}
    )
    assert ours.keys() - expected.keys() <= {"RLEVEL", "L1PUBDAT", "L1IDCAT", "BZERO", "BSCALE"}


SAID = {
    "PROPID": "calibrate", "DATE-OBS": "2015-02-19T08:00:00", "DAY-OBS": "20150219", "INSTRUME": "nres03",
    "SITEID": "cpt", "TELID": "1m0a", "OBSTYPE": "TARGET", "BLKUID": 1, "RLEVEL": 92,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("cptnrs03-fa13-20150219-0001-e92-summary.pdf", "cpt/nres03/20150219/processed"),
        ("tfn0m419-sq32-20240426-0097-e91-small.jpg", "cpt/nres03/20150219/processed"),
    ],
)
def test_g05_what_has_no_headers_needs_metadata(name: str, path: str) -> None:
    with pytest.raises(InvalidFile, match="lacks the required headers PROPID"):
        described(name)
    found = FitsReader().describe(FOLDER / name, name, SAID)
    assert found.path == f"{path}/{name}"
    assert found.record.reduction_level == 92


def test_g05_a_picture_of_a_frame_is_its_thumbnail() -> None:
    name = "tfn0m419-sq32-20240426-0097-e91-small.jpg"
    found = FitsReader().describe(FOLDER / name, name, {**SAID, "frame_basename": "tfn-e91", "size": "small"})
    assert (found.thumbnail_of, found.thumbnail_size) == ("tfn-e91", "small")
    assert found.path == f"cpt/nres03/20150219/thumbnails/{name}"
