"""The body of the message that tells of an archived frame."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from application.archived_message import archived_message, area_text
from domain.footprint import Footprint
from domain.frame_record import FrameRecord
from domain.frames import FileProcessed, FrameVersion

GOLDEN = Path(__file__).parents[1] / "golden" / "messages" / "archived_fits.json"
SQUARE = Footprint((((10.0, -5.5), (11.25, -5.5), (11.25, 6.0), (10.0, -5.5)),))


def event(headers: str, area: Footprint | None = SQUARE) -> FileProcessed:
    return FileProcessed(
        frame_id=1234,
        record=FrameRecord(basename="lsc1m005-fa15-20200114-0129-d91", area=area),
        headers=msgspec.Raw(headers.encode()),
        versions=(
            FrameVersion(id=1, key="k1", md5="m1", extension=".fits.fz"),
            FrameVersion(id=2, key="k2", md5="m2", extension=".fits"),
        ),
    )


def test_e05_the_body_is_the_originals_to_the_byte() -> None:
    headers = (
        '{"SIMPLE":true,"SITEID":"lsc","INSTRUME":"fa15","DAY-OBS":"20200114","RLEVEL":91,"EXPTIME":30.0,"TINY":1e-7,'
        '"OBJECT":"Ü Ori \\"b\\"","filename":"of the header","GAIN":null}'
    )
    assert archived_message(event(headers)) == GOLDEN.read_bytes().rstrip(b"\n")


def test_e05_our_keys_replace_headers_of_the_same_name_and_the_first_version_names_the_file() -> None:
    told = json.loads(archived_message(event('{"frameid":1,"area":2,"version_set":3,"basename":4}')))
    assert told["frameid"] == 1234
    assert told["filename"] == "lsc1m005-fa15-20200114-0129-d91.fits.fz"
    assert [version["md5"] for version in told["version_set"]] == ["m1", "m2"]


def test_e05_a_frame_without_footprint_has_a_null_area() -> None:
    assert archived_message(event("{}", None)).startswith(b'{"area": null, "basename": ')


def test_p05_the_area_can_be_sent_as_an_object() -> None:
    told = json.loads(archived_message(event("{}"), "object"))
    assert told["area"] == {
        "type": "Polygon",
        "coordinates": [[[10.0, -5.5], [11.25, -5.5], [11.25, 6.0], [10.0, -5.5]]],
    }
    assert json.loads(archived_message(event("{}", None), "object"))["area"] is None
    assert isinstance(json.loads(archived_message(event("{}")))["area"], str)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (10, "10.0"),
        (-0.0, "-0.0"),
        (1e-7, "0.0000001"),
        (83.82208333333334, "83.822083333333339"),
        (-5.3911111111111105, "-5.39111111111111"),
        (123.456789012345678, "123.456789012345681"),
        (359.99999999999997, "360.0"),
        (-179.99999999999997, "-180.0"),
        (0.30000000000000004, "0.3"),
        (5e-324, "0.0"),
        (84.2364923, "84.2364923"),
    ],
)
def test_e05_coordinates_are_written_as_gdal_writes_them(value: float, written: str) -> None:
    text = area_text(Footprint((((value, 1.0), (2.0, 3.0), (4.0, 5.0), (value, 1.0)),)))
    assert text == (
        '{ "type": "Polygon", "coordinates": '
        f"[ [ [ {written}, 1.0 ], [ 2.0, 3.0 ], [ 4.0, 5.0 ], [ {written}, 1.0 ] ] ] }}"
    )
