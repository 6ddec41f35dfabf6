"""A file's extension decides by which rules it is read; operators may say otherwise."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.fits.file_kinds import FILE_KINDS, FileKind, name_parts
from adapters.fits.reader import FitsReader
from adapters.fits.settings import FitsSettings
from adapters.fits.stored_paths import stored_path
from domain.errors import InvalidFile, Misconfigured, MissingHeader
from domain.frame_record import FrameRecord, split_name
from tests.unit.fits.fits_files import compressed, describe, plain

METADATA: dict[str, Any] = {
    "PROPID": "p", "DATE-OBS": "2024-05-17T03:12:45", "DAY-OBS": "20240516", "INSTRUME": "i", "SITEID": "s",
    "TELID": "t", "OBSTYPE": "EXPOSE", "BLKUID": 7,
}  # fmt: skip
OCS = "ocs_archive.input"


def overriding(**kinds: str) -> FitsSettings:
    """Settings in which extensions (without their dot) have these classes."""
    mapping = {name if name == "*" else f".{name.replace('_', '.')}": path for name, path in kinds.items()}
    return FitsSettings.from_environment({"FILETYPE_MAPPING_OVERRIDES": repr(mapping)})


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.b.c", ("a", ".b.c")),
        ("x.fits.fz", ("x", ".fits.fz")),
        ("folder.d/x.FITS", ("x", ".FITS")),
        ("x", ("x", "")),
        ("x.", ("x", ".")),
    ],
)
def test_g01_the_basename_ends_at_the_first_dot(filename: str, expected: tuple[str, str]) -> None:
    assert split_name(filename) == expected


@pytest.mark.parametrize("name", ["x", ".fits", "", "x." + "y" * 20])
def test_g01_a_name_without_a_usable_extension_cannot_be_archived(name: str) -> None:
    with pytest.raises(InvalidFile):
        name_parts(name)


def test_g01_extensions_have_their_case(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match=r"extension \.FITS of x is not a currently supported file type"):
        FitsReader().describe(plain(tmp_path), "x.FITS")


def test_g02_the_extensions_of_the_library_have_its_kinds() -> None:
    assert {extension: kind.value for extension, kind in FILE_KINDS.items()} == {
        ".fits": "FitsFile",
        ".fits.gz": "FitsFile",
        ".fits.fz": "LcoFitsFile",
        ".tar.gz": "TarWithFitsFile",
        ".pdf": "DataFile",
        ".jpg": "ThumbnailFile",
        ".jpeg": "ThumbnailFile",
    }


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"{OCS}.file.DataFile", FileKind.METADATA),
        (f"{OCS}.fitsfile.FitsFile", FileKind.FITS),
        (f"{OCS}.lcofitsfile.LcoFitsFile", FileKind.LCO_FITS),
        (f"{OCS}.soarfitsfile.SOARFitsFile", FileKind.SOAR_FITS),
        (f"{OCS}.tarwithfitsfile.TarWithFitsFile", FileKind.TAR_WITH_FITS),
        (f"{OCS}.lcotarwithfitsfile.LcoTarWithFitsFile", FileKind.LCO_TAR_WITH_FITS),
        (f"{OCS}.thumbnailfile.ThumbnailFile", FileKind.THUMBNAIL),
        ("archive_file_input_classes.PtrBaseFileClass", FileKind.METADATA),
        ("SOARFitsFile", FileKind.SOAR_FITS),
    ],
)
def test_g02_a_class_of_the_library_stands_for_its_rules(path: str, kind: FileKind) -> None:
    kinds = overriding(fits=path).file_kinds
    assert kinds == {**FILE_KINDS, ".fits": kind}


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("somebody.files.TheirFile", "the module 'somebody.files', which isn't one of the OCS archive library's"),
        (f"{OCS}.fitsfile.Unheard", f"the class 'Unheard', which {OCS}.fitsfile doesn't have"),
        (f"{OCS}.file.EmptyFile", "the class 'EmptyFile', which isn't a kind of DataFile"),
    ],
)
def test_g02_each_wrong_class_is_refused_in_its_own_sentence(path: str, why: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        overriding(fits=path)
    assert why in str(refusal.value)


def test_g02_a_file_whose_extension_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile) as refusal:
        FitsReader().describe(plain(tmp_path), "x.png")
    assert str(refusal.value) == "The file extension .png of x is not a currently supported file type."


@pytest.mark.parametrize("extension", ["fits", "", ".", "x.y", "." + "y" * 20])
def test_g02_an_extension_that_no_file_has_is_refused(extension: str) -> None:
    with pytest.raises(Misconfigured, match="an extension begins with a dot"):
        FitsSettings.from_environment({"FILETYPE_MAPPING_OVERRIDES": repr({extension: "DataFile"})})


def test_g02_a_plain_tar_file_is_read_like_a_packed_one(tmp_path: Path) -> None:
    member = plain(tmp_path, "1.fits", OBJECT="in a tar")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(member, "folder/1.fits")
    reader = FitsReader(overriding(tar=f"{OCS}.tarwithfitsfile.TarWithFitsFile"))
    assert reader.describe(tmp_path / "x.tar", "x.tar").record.target_name == "in a tar"


@pytest.mark.parametrize(
    ("name", "media_type"), [("x.pdf", "application/pdf"), ("x.jpg", "image/jpeg"), ("x.jpeg", "image/jpeg")]
)
def test_g05_a_file_without_headers_is_described_by_its_sender(tmp_path: Path, name: str, media_type: str) -> None:
    found = FitsReader().describe(tmp_path / name, name, {**METADATA, "RLEVEL": "92", "OBJECT": "N/A"})
    assert (found.record.observation_id, found.record.reduction_level, found.record.target_name) == (7, 92, "")
    assert found.path == f"s/i/20240516/processed/{name}"
    assert found.content_type == media_type
    assert found.headers["L1PUBDAT"] == "2025-05-17T03:12:45", "dates are filled in as for other files"


def test_g05_without_metadata_a_file_without_headers_lacks_them(tmp_path: Path) -> None:
    with pytest.raises(MissingHeader, match=r"x\.pdf lacks the required headers PROPID, DATE-OBS"):
        FitsReader().describe(tmp_path / "x.pdf", "x.pdf")
    with pytest.raises(MissingHeader, match="lacks the required header BLKUID"):
        FitsReader().describe(tmp_path / "x.pdf", "x.pdf", {key: 1 for key in METADATA if key != "BLKUID"})


THUMBNAIL = {key: METADATA[key] for key in ("DATE-OBS", "DAY-OBS", "INSTRUME", "SITEID", "TELID")}


def test_g05_a_picture_that_names_its_frame_is_a_thumbnail(tmp_path: Path) -> None:
    found = FitsReader().describe(
        tmp_path / "x.jpg", "x.jpg", {**THUMBNAIL, "frame_basename": "f.fits", "size": "small"}
    )
    assert (found.thumbnail_of, found.thumbnail_size, found.path) == ("f", "small", "s/i/20240516/thumbnails/x.jpg")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"size": "huge"}, "the size 'huge', which isn't one of small, medium, large"),
        ({"frame_basename": "N/A"}, "no value in the required header frame_basename"),
        ({"SITEID": None}, "lacks the required header SITEID"),
    ],
)
def test_g05_a_thumbnail_that_says_too_little_is_refused(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    said = {**THUMBNAIL, "frame_basename": "f", "size": "small", **changes}
    with pytest.raises(InvalidFile, match=why):
        FitsReader().describe(tmp_path / "x.jpg", "x.jpg", {key: one for key, one in said.items() if one is not None})


def test_g06_the_keys_and_needs_of_thumbnails_are_settings(tmp_path: Path) -> None:
    settings = FitsSettings.from_environment(
        {
            "THUMBNAIL_FRAME_BASENAME_KEY": "OF",
            "THUMBNAIL_SIZE_KEY": "HOWBIG",
            "THUMBNAIL_SIZE_CHOICES": "tiny",
            "REQUIRED_THUMBNAIL_METADATA": "OF,HOWBIG",
        }
    )
    found = FitsReader(settings).describe(tmp_path / "x.jpg", "x.jpg", {"OF": "f", "HOWBIG": "tiny"})
    assert (found.thumbnail_of, found.thumbnail_size) == ("f", "tiny")


@pytest.mark.parametrize("path", ["archive_file_input_classes.PtrBaseFileClass", f"{OCS}.file.DataFile"])
def test_p03_any_extension_can_be_archived_with_metadata(tmp_path: Path, path: str) -> None:
    reader = FitsReader(overriding(txt=path, fits_bz2=path))
    for name in ("x.txt", "x.fits.bz2"):
        said = {**METADATA, "HISTORY": "dropped", "L1IDBIAS": "bias.fits.fz"}
        found = reader.describe(tmp_path / name, name, said)
        assert found.path == f"s/i/20240516/raw/{name}"
        assert found.record.related == ("bias",)
        assert "HISTORY" not in found.headers
    with pytest.raises(InvalidFile, match="not a currently supported"):
        reader.describe(tmp_path / "x.png", "x.png", METADATA)


def test_p03_one_entry_can_stand_for_all_other_extensions(tmp_path: Path) -> None:
    reader = FitsReader(overriding(**{"*": "DataFile"}))
    for name, media_type in (("x.png", "image/png"), ("x.cat", ""), ("x.hdf5", "")):
        found = reader.describe(tmp_path / name, name, METADATA)
        assert found.extension == name[1:]
        assert found.content_type == media_type
    assert describe(plain(tmp_path), reader).record.target_name == "M84", "those with an entry keep their rules"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, -(10**400)])
def test_g05_numbers_that_json_cannot_hold_are_null(tmp_path: Path, value: Any) -> None:
    found = FitsReader().describe(tmp_path / "x.pdf", "x.pdf", {**METADATA, "ODD": value})
    assert found.headers["ODD"] is None


RECORD = FrameRecord(basename="x-e91", site_id="s", instrument_id="i", reduction_level=91)


@pytest.mark.parametrize(
    ("record", "extension", "headers", "expected"),
    [
        (RECORD, ".fits", b"{}", "s/i//processed/x-e91.fits"),
        (RECORD, ".fits.fz", b'{"EXTNAME":"SCI"}', "s/i//processed/x-e91.fits.fz"),
        (RECORD, ".fits.fz", b'{"EXTNAME":"BPM"}', "s/i/bpm/x-e91.fits.fz"),
        (RECORD, ".fits", b'{"EXTNAME":"BPM"}', "s/i//processed/x-e91.fits"),
        (RECORD, ".fits.fz", b'{"EXTNAME":[1,{"a":null}]}', "s/i//processed/x-e91.fits.fz"),
        (
            RECORD,
            ".fits.fz",
            b'{"EXTNAME":1e999,"B":"BPM","A":' + b"[" * 500 + b"]" * 500 + b"}",
            "s/i//processed/x-e91.fits.fz",
        ),
        (RECORD, ".jpg", b"{}", "s/i//thumbnails/x-e91.jpg"),
        (RECORD, ".unheard", b"{}", "s/i//processed/x-e91.unheard"),
    ],
)
def test_h01_the_file_of_a_record_is_where_its_kind_is_kept(
    record: FrameRecord, extension: str, headers: bytes, expected: str
) -> None:
    assert stored_path(record, extension, msgspec.Raw(headers)) == expected


def test_h01_masks_follow_the_overrides_too(tmp_path: Path) -> None:
    kinds = overriding(fits=f"{OCS}.lcofitsfile.LcoFitsFile").file_kinds
    mask = FrameRecord(basename="bpm-x", site_id="s", instrument_id="i")
    assert stored_path(mask, ".fits", kinds=kinds) == "s/i/bpm/bpm-x.fits"


def test_g16_only_soar_files_have_soar_levels(tmp_path: Path) -> None:
    reader = FitsReader(overriding(fits_fz=f"{OCS}.soarfitsfile.SOARFitsFile"))
    for prefix, given, expected in (
        ("wecfzst", 5, 64), ("ecfzst", None, 63), ("cfzst", 0, 62), ("fzst", 7, 7), ("fzst", None, 0),
    ):  # fmt: skip
        file = compressed(tmp_path, f"{prefix}_{given}.fits.fz", RLEVEL=given)
        assert describe(file, reader).record.reduction_level == expected
    assert describe(compressed(tmp_path, "wecfzst_x.fits.fz", RLEVEL=5)).record.reduction_level == 5
