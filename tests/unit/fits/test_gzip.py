"""Frames packed with gzip."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest

from adapters.fits.reader import FitsReader
from adapters.fits.settings import FitsSettings
from domain.errors import ExpandsTooMuch, NotFits, TruncatedFile
from tests.unit.fits.fits_files import NAME, describe, plain


def packed(folder: Path, content: bytes) -> Path:
    path = folder / f"{NAME}.fits.gz"
    path.write_bytes(content)
    return path


@pytest.fixture
def frame(tmp_path: Path) -> bytes:
    return plain(tmp_path, shape=(200, 300)).read_bytes()


def test_a_gzipped_frame_reads_like_the_frame(tmp_path: Path, frame: bytes) -> None:
    described = describe(packed(tmp_path, gzip.compress(frame)))
    assert described.record == describe(tmp_path / f"{NAME}.fits").record
    assert described.extension == ".fits.gz"
    assert described.path == f"tst/fa20/20240516/raw/{NAME}.fits.gz"


def test_several_members_and_zero_padding_are_one_frame(tmp_path: Path, frame: bytes) -> None:
    content = gzip.compress(frame[:5000]) + gzip.compress(frame[5000:]) + bytes(100_000)
    assert describe(packed(tmp_path, content)).record.site_id == "tst"


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"SIMPLE  =                    T",
        lambda whole: b"",
        lambda whole: b"\x1f\x8bnot deflate at all",
        lambda whole: whole[:300] + b"\0\xff\0\xff" + whole[304:],
        lambda whole: whole[:-8] + b"\0\0\0\0" + whole[-4:],
        lambda whole: whole + b"tail",
        lambda whole: gzip.compress(b"a poem"),
        lambda whole: gzip.compress(gzip.decompress(whole) + b"tail"),
    ],
    ids=["no gzip", "empty", "no deflate", "bytes flipped", "checksum", "tail", "no FITS in it", "tail in it"],
)
def test_damaged_gzip_data_are_refused(tmp_path: Path, frame: bytes, damage) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NotFits):
        describe(packed(tmp_path, damage(gzip.compress(frame))))


@pytest.mark.parametrize("kept", [5, 60, 1000, -4, -8, -9])
def test_gzip_data_that_end_early_are_cut_short(tmp_path: Path, frame: bytes, kept: int) -> None:
    with pytest.raises(TruncatedFile):
        describe(packed(tmp_path, gzip.compress(frame)[:kept]))


def test_a_frame_that_unpacks_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    content = gzip.compress(plain(tmp_path, shape=(100, 100)).read_bytes() + bytes(5_000_000))
    reader = FitsReader(FitsSettings(max_frame_bytes=21_000))
    with pytest.raises(ExpandsTooMuch, match="unpacks to more than 21,000 bytes"):
        describe(packed(tmp_path, content), reader)


def test_a_bomb_is_refused_soon_after_it_shows_itself(tmp_path: Path) -> None:
    """300 MB of zeros behind a header that claims them pack to 0.3 MB."""
    from tests.unit.fits.fits_files import raw_header, required_cards, structural

    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = raw_header(*structural(axes=(30_000, 10_000), bitpix=8), *required_cards())
    content = (
        deflate.compress(head) + b"".join(deflate.compress(bytes(1_000_000)) for _ in range(300)) + deflate.flush()
    )
    with pytest.raises(ExpandsTooMuch, match="over 200 times as many"):
        describe(packed(tmp_path, content))
