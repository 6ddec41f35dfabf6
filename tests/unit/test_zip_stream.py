"""Archives that are written while they are sent."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.zip_stream import ZipEntry, ZipStream, safe_name
from domain.errors import RetryLater

NOON = datetime(2026, 11, 28, 12, 30, 42, tzinfo=UTC)


def entry(name: str, data: bytes, *, size: int | None = None, modified: datetime = NOON) -> ZipEntry:
    pieces = [data[start : start + 7] for start in range(0, len(data), 7)]
    return ZipEntry(name=name, size=len(data) if size is None else size, modified=modified, pieces=lambda: iter(pieces))


def written(*entries: ZipEntry) -> bytes:
    archive = ZipStream(entries)
    data = b"".join(archive.pieces())
    assert len(data) == archive.size
    return data


FILES = {"d/a.fits": b"the bytes of a", "d/empty": b"", "d/grün.fits.fz": b"x" * 1000}


def test_d03_the_length_is_known_beforehand_and_the_files_come_out_as_they_went_in() -> None:
    archive = zipfile.ZipFile(io.BytesIO(written(*(entry(name, data) for name, data in FILES.items()))))
    assert archive.testzip() is None
    assert {info.filename: archive.read(info) for info in archive.infolist()} == FILES
    for info in archive.infolist():
        assert info.date_time == (2026, 11, 28, 12, 30, 42)
        assert (info.compress_type, info.external_attr >> 16) == (zipfile.ZIP_STORED, 0o100644)


def test_d03_an_archive_of_nothing_is_an_archive() -> None:
    assert zipfile.ZipFile(io.BytesIO(written())).namelist() == []


@pytest.mark.skipif(shutil.which("unzip") is None, reason="needs unzip")
def test_d03_unzip_finds_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(written(*(entry(name, data) for name, data in FILES.items())))
    assert subprocess.run(["unzip", "-tq", str(file)], capture_output=True).returncode == 0


@pytest.mark.parametrize("size", [2**32 - 2, 2**32 - 1, 2**32, 5 * 2**30])
def test_d03_large_files_and_what_follows_them_are_found_by_their_64_bit_entries(tmp_path: Path, size: int) -> None:
    piece = bytes(1 << 24)

    def zeros() -> Iterator[bytes]:
        for start in range(0, size, len(piece)):
            yield piece[: size - start]

    archive = ZipStream([ZipEntry(name="large", size=size, modified=NOON, pieces=zeros), entry("after", b"small")])
    file, length = tmp_path / "large.zip", 0
    with file.open("wb") as sparse:
        for part in archive.pieces():
            length += len(part)
            if len(part) < 2000:
                sparse.write(part)
            else:
                sparse.seek(len(part), io.SEEK_CUR)
        sparse.truncate(length)
    assert length == archive.size
    with zipfile.ZipFile(file) as found:
        assert [info.file_size for info in found.infolist()] == [size, 5]
        assert found.read("after") == b"small"
        with found.open("large") as large:
            assert large.read(10) == bytes(10)


def test_d03_more_files_than_16_bits_can_count() -> None:
    archive = zipfile.ZipFile(io.BytesIO(written(*(entry(f"d/{number}", b"x") for number in range(70_000)))))
    assert len(archive.namelist()) == 70_000
    assert archive.read("d/69999") == b"x"


@pytest.mark.parametrize("size", [3, 5])
def test_d03_a_file_of_another_length_than_it_said_ends_the_archive_before_its_directory(size: int) -> None:
    archive = ZipStream([entry("a", b"four", size=size), entry("b", b"more")])
    got = bytearray()

    def receive() -> None:
        for piece in archive.pieces():
            got.extend(piece)

    with pytest.raises(RetryLater):
        receive()
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(bytes(got)))


@pytest.mark.parametrize(
    ("name", "safe"),
    [("a/b.fits", "a/b.fits"), ("../../etc/x", "_/_/etc/x"), ("a//b", "a/_/b"), ("c:\\x\n", "c__x_"), ("/x", "_/x")],
)
def test_d03_no_name_leaves_the_folder_that_it_is_unpacked_in(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_d03_times_that_zip_cannot_write_become_its_first_day() -> None:
    early = entry("x", b"", modified=datetime(1975, 1, 1, tzinfo=UTC))
    assert zipfile.ZipFile(io.BytesIO(written(early))).infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)
