"""Frames inside tar files."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from adapters.fits.reader import FitsReader
from adapters.fits.settings import FitsSettings
from domain.errors import AbsurdSize, InvalidFile, NotFits, TruncatedFile
from tests.unit.fits.fits_files import compressed, describe, plain

LCO = FitsReader(FitsSettings.from_environment({"FILETYPE_MAPPING_OVERRIDES": "{'.tar.gz': 'LcoTarWithFitsFile'}"}))


def tar(members: Mapping[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=kind) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def written(folder: Path, content: bytes, name: str = "x-e90.tar.gz") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content))
    return path


@pytest.fixture
def members(tmp_path: Path) -> dict[str, bytes]:
    frames = {
        "notes.txt": b"read me",
        "a/first.fits": plain(tmp_path, "1.fits", OBJECT="first").read_bytes(),
        "a/second-e90.fits.fz": compressed(tmp_path, "2.fits.fz", OBJECT="second").read_bytes(),
    }
    return {f"{'d' * 120}/{name}": content for name, content in frames.items()}


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_g04_the_first_fits_member_gives_the_record(tmp_path: Path, members: dict[str, bytes], kind: int) -> None:
    described = describe(written(tmp_path, tar(members, kind)))
    assert described.record.target_name == "first"
    assert (described.extension, described.path) == (".tar.gz", "tst/fa20/20240516/raw/x-e90.tar.gz")


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_g04_an_lco_tar_file_is_read_by_its_reduced_member(
    tmp_path: Path, members: dict[str, bytes], kind: int
) -> None:
    assert describe(written(tmp_path, tar(members, kind)), LCO).record.target_name == "second"


def test_g14_a_level_that_nobody_gives_is_90(tmp_path: Path) -> None:
    content = plain(tmp_path, "1.fits", RLEVEL=None).read_bytes()
    assert describe(written(tmp_path, tar({"a-e91.fits": content})), LCO).record.reduction_level == 90


def test_g04_a_tar_file_without_fits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match=r"holds no file whose name contains \.fits"):
        describe(written(tmp_path, tar({"notes.txt": b"read me"})))


def test_what_is_not_a_tar_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFits, match="isn't a tar file"):
        describe(written(tmp_path, b"a poem" * 500))


def test_a_member_that_ends_early_is_cut_short(tmp_path: Path, members: dict[str, bytes]) -> None:
    with pytest.raises(TruncatedFile):
        describe(written(tmp_path, tar(members)[:6000]))


def test_damage_behind_the_member_is_found(tmp_path: Path, members: dict[str, bytes]) -> None:
    path = written(tmp_path, tar(members))
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    with pytest.raises(NotFits):
        describe(path)


def test_an_absurd_extended_header_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 1 << 31
    with pytest.raises(AbsurdSize, match="extended header"):
        describe(written(tmp_path, member.tobuf()))
