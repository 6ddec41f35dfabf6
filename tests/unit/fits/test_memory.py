"""Whatever the file is, reading it takes little memory."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.fits.hdus import MOST_CARDS
from adapters.fits.reader import FitsReader
from domain.errors import ExpandsTooMuch
from tests.unit.fits.fits_files import describe, plain, raw_header, required_cards, structural

MIB = 1 << 20


@contextmanager
def at_most(size: int, warm: Path) -> Iterator[None]:
    describe(warm)
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size, f"{peak / MIB:.1f} MiB"


def test_a_frame_of_two_gigabytes_takes_two_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    head = raw_header(*structural(axes=(1 << 15, 1 << 15)), *required_cards())
    with path.open("wb") as file:
        file.write(head)
        file.truncate(-(-(len(head) + (1 << 31)) // 2880) * 2880)
    with at_most(2 * MIB, plain(tmp_path)):
        assert describe(path).headers["NAXIS1"] == 1 << 15


def test_a_gzip_bomb_takes_two_megabytes(tmp_path: Path) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    path = tmp_path / "x.fits.gz"
    with path.open("wb") as file:
        file.write(deflate.compress(raw_header(*structural(axes=(1 << 15, 1 << 14)), *required_cards())))
        for _ in range(270):
            file.write(deflate.compress(bytes(MIB)))
        file.write(deflate.flush())
    with at_most(2 * MIB, plain(tmp_path)), pytest.raises(ExpandsTooMuch):
        describe(path)


def test_the_largest_header_takes_less_than_48_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    many = [f"K{number:<7}= '{number:068}'" for number in range(MOST_CARDS - 50)]
    path.write_bytes(raw_header(*structural(), *required_cards(), *many))
    with at_most(48 * MIB, plain(tmp_path)):
        assert len(FitsReader().describe(path, path.name).headers) > MOST_CARDS - 50
