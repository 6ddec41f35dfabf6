"""Unpacking of tile-compressed files: row D07 of the contract. CFITSIO judges where it is installed."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from adapters.fits.unpacking import UnpackedFile
from domain.errors import InvalidFile, NotFits, TruncatedFile
from tests.unit.fits.funpack import fpack, funpack, needs_cfitsio, unpacked

REAL_FILES = Path(__file__).resolve().parents[4] / "shared" / "fits"
TYPES = ("uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64")
SHAPES = ((37, 53), (3, 20, 31), (101,))
INTEGER_OPTIONS = ("-r", "-g", "-g2", "-h", "-h -s 4", "-p", "-d", "-r -w", "-r -t 20,10", "-g -t 7,3")
REAL_OPTIONS = (
    "-r", "-g", "-g2", "-h", "-h -s 2", "-d", "-r -w", "-r -t 20,10", "-g -q 0", "-g2 -q 0", "-r -q 16", "-r -qz 4",
    "-r -qt 4", "-r -q0 4", "-g -qz 4", "-h -qz 4", "-r -n 2",
)  # fmt: skip


def pixels(shape: tuple[int, ...], kind: str) -> Any:
    """A noisy sky."""
    sky = np.random.default_rng(len(shape)).normal(100, 9, shape)
    return sky.astype(kind)


def header(**cards: Any) -> fits.Header:
    made = fits.Header([("OBJECT", "M31"), ("EXPTIME", 30.5, "seconds"), *cards.items()])
    made.add_comment("a comment")
    made.add_history("made for a test")
    return made


def written(folder: Path, *hdus: Any, checksum: bool = False) -> Path:
    file = folder / "x.fits"
    fits.HDUList(list(hdus)).writeto(file, overwrite=True, checksum=checksum)
    return file


def compare(file: Path, *options: str) -> None:
    for option in options:
        packed = fpack(file, *option.split())
        if packed is not None:
            assert unpacked(packed) == funpack(packed), option


@needs_cfitsio
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", TYPES)
def test_d07_the_bytes_are_those_of_funpack_for_every_type_and_algorithm(
    tmp_path: Path, kind: str, shape: tuple[int, ...]
) -> None:
    file = written(tmp_path, fits.PrimaryHDU(pixels(shape, kind), header()))
    compare(file, *(REAL_OPTIONS if kind.startswith("float") else INTEGER_OPTIONS))


@needs_cfitsio
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_d07_the_bytes_are_those_of_funpack_where_numbers_arent_numbers(tmp_path: Path, kind: str) -> None:
    data = pixels((40, 50), kind)
    data[3, 4:7] = np.nan, np.inf, -np.inf
    data[5] = 0
    data[5, 3] = -0.0
    data[6, 1:3] = (1e-42, -1e-42) if kind == "float32" else (1e-310, -1e-310)
    data[7] = np.nan
    data[9, ::2] = 0
    file = written(tmp_path, fits.PrimaryHDU(data, header()))
    # with tiles narrower than a row CFITSIO 4.2 gives wrong pixels where others are NaN; ours are those of the image
    compare(file, *(option for option in REAL_OPTIONS if "-t" not in option))


@needs_cfitsio
@pytest.mark.parametrize("cards", [{}, {"BLANK": -32768}, {"BSCALE": 2.0, "BZERO": 5.0}])
def test_d07_the_bytes_are_those_of_funpack_for_blank_and_scaled_pixels(tmp_path: Path, cards: dict[str, Any]) -> None:
    data = pixels((40, 50), "int16")
    data[1, 1:4] = -32768, 32767, 0
    image = fits.PrimaryHDU(data, header(), do_not_scale_image_data=True)
    image.header.update(cards)
    compare(written(tmp_path, image), *INTEGER_OPTIONS)


def mixed() -> list[Any]:
    """An image, one of real numbers, three kinds of tables' rows, an empty extension and a mask."""
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("X", "E", array=np.arange(100.0)),
            fits.Column("V", "PJ()", array=np.array([np.arange(n) for n in range(100)], dtype=object)),
        ],
        name="CAT",
    )
    text = fits.TableHDU.from_columns([fits.Column("X", "E12.4", array=np.arange(10.0))])
    return [
        fits.ImageHDU(pixels((30, 40), "float32"), header(), name="SCI"),
        table,
        text,
        fits.ImageHDU(None, header(), name="EMPTY"),
        fits.ImageHDU(pixels((30, 40), "uint8"), name="BPM"),
    ]


FIRST: dict[str, Callable[[], Any]] = {
    "an image": lambda: fits.PrimaryHDU(pixels((30, 40), "int16"), header(EXTNAME="RAW")),
    "nothing": lambda: fits.PrimaryHDU(header=header(PRIMARY="yes")),
}


@needs_cfitsio
@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("first", FIRST)
def test_d07_the_bytes_are_those_of_funpack_for_files_of_many_hdus(tmp_path: Path, first: str, checksum: bool) -> None:
    compare(written(tmp_path, FIRST[first](), *mixed(), checksum=checksum), "-r", "-g", "-h")
    compare(written(tmp_path, FIRST[first](), checksum=checksum), "-r")


@needs_cfitsio
@pytest.mark.parametrize("blank_cards", [0, 1, 20, 36, 100])
def test_d07_the_bytes_are_those_of_funpack_for_long_and_odd_headers(tmp_path: Path, blank_cards: int) -> None:
    cards = header()
    for number in range(80):
        cards[f"KEY{number}"] = number
    cards["LONGSTR"] = "x" * 200
    cards["HIERARCH ESO abc def"] = 3
    cards.append(("", "a blank keyword"))
    cards.append(fits.Card())
    for name in ("AFTER", "TUNIT1", "ZFOO", "ZNAXIS9", "TTYPE3", "INHERIT"):
        cards[name] = 1
    for _ in range(blank_cards):
        cards.append(fits.Card(), end=True)
    compare(written(tmp_path, fits.PrimaryHDU(pixels((30, 40), "int16"), cards), *mixed()), "-r")


@needs_cfitsio
@pytest.mark.parametrize("before", ["nothing", "an image", "a table"])
def test_d07_the_bytes_are_those_of_funpack_for_a_first_image_that_comes_later(tmp_path: Path, before: str) -> None:
    packed = fpack(written(tmp_path, FIRST["an image"]()))
    assert packed is not None
    extension = packed.read_bytes()[2880:]
    hdus = [FIRST["an image"]()] if before == "an image" else [fits.PrimaryHDU(), *mixed()[1:2]]
    file = tmp_path / "later.fits.fz"
    file.write_bytes(written(tmp_path, *(hdus[:1] if before == "nothing" else hdus)).read_bytes() + extension)
    assert unpacked(file) == funpack(file)


@needs_cfitsio
@pytest.mark.parametrize("tile", ["7,6,1,1", "3,4,2,2", "7,6,5,4", "1,1,1,1", "2,1,1,3"])
def test_d07_the_bytes_are_those_of_funpack_for_tiles_in_four_dimensions(tmp_path: Path, tile: str) -> None:
    compare(written(tmp_path, fits.PrimaryHDU(pixels((4, 5, 6, 7), "int16"))), f"-r -t {tile}")


@needs_cfitsio
@pytest.mark.skipif(not REAL_FILES.is_dir(), reason="needs the sample files")
def test_d07_the_bytes_are_those_of_funpack_for_real_frames() -> None:
    for file in REAL_FILES.glob("*.fz"):
        assert unpacked(file) == funpack(file), file.name


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32"])
@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1"])
def test_d07_whole_numbers_come_back_as_they_were(tmp_path: Path, kind: str, algorithm: str) -> None:
    if (algorithm, kind) == ("PLIO_1", "uint16"):
        pytest.skip("astropy doesn't pack these")
    data = pixels((60, 70), kind)
    tile = None if algorithm == "PLIO_1" else (16, 33)
    image = fits.CompImageHDU(data, header(), compression_type=algorithm, tile_shape=tile)
    file = written(tmp_path, fits.PrimaryHDU(), image)
    with fits.open(io.BytesIO(unpacked(file))) as found:
        found.verify("exception")
        assert np.array_equal(found[-1].data, data)
        assert (found[-1].header["OBJECT"], found[-1].header["EXPTIME"]) == ("M31", 30.5)
        assert not any(name.startswith("Z") for name in found[-1].header)


@pytest.mark.parametrize("method", [-1, 1, 2])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_d07_quantized_numbers_are_those_that_astropy_reads(tmp_path: Path, kind: str, method: int) -> None:
    data = pixels((60, 70), kind)
    data[4, 5:9] = 0
    image = fits.CompImageHDU(data, quantize_method=method, dither_seed=7, tile_shape=(16, 33))
    file = written(tmp_path, fits.PrimaryHDU(), image)
    with fits.open(file) as packed, fits.open(io.BytesIO(unpacked(file))) as found:
        assert np.array_equal(found[1].data, packed[1].data)


def test_d07_a_file_that_isnt_packed_stays_as_it_is(tmp_path: Path) -> None:
    file = written(tmp_path, FIRST["an image"](), *mixed())
    assert unpacked(file) == file.read_bytes()


def test_d07_a_missing_padding_is_made_up_for(tmp_path: Path) -> None:
    file = written(tmp_path, FIRST["an image"](), fits.ImageHDU(np.ones((3, 5), np.uint8)))
    whole = file.read_bytes()
    file.write_bytes(whole.rstrip(b"\0"))
    assert unpacked(file) == whole


def test_d07_a_large_image_is_unpacked_in_little_memory(tmp_path: Path) -> None:
    data = np.random.default_rng(1).normal(1000, 30, (3000, 2000)).astype(np.uint16)
    file = written(tmp_path, fits.PrimaryHDU(), fits.CompImageHDU(data))
    with file.open("rb") as source:
        content = UnpackedFile(source, file.stat().st_size, file.name, max_bytes=1 << 34)
        length = 0
        tracemalloc.start()
        for piece in content.pieces():
            length += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert length == content.size > 12_000_000
    assert peak < 5_000_000


def packed_bytes(tmp_path: Path) -> bytes:
    image = fits.CompImageHDU(pixels((60, 70), "int16"), tile_shape=(1, 70))
    return written(tmp_path, fits.PrimaryHDU(), image).read_bytes()


def table_start(data: bytes) -> int:
    with fits.open(io.BytesIO(data), disable_image_compression=True) as found:
        return int(found[1].fileinfo()["datLoc"])


def read(data: bytes) -> None:
    content = UnpackedFile(io.BytesIO(data), len(data), "x.fits.fz", max_bytes=1 << 30)
    for _ in content.pieces():
        pass


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"'RICE_1  '", b"'NOBODYS '"),
        (b"ZBITPIX =                   16", b"ZBITPIX =                   17"),
        (b"ZTILE1  =                   70", b"ZTILE1  =                    0"),
        (b"ZTILE1  =                   70", b"ZTILE1  =                  7.5"),
        (b"TFORM1  = '1PB(", b"TFORM1  = '1PW("),
        (b"TFORM1  = '1PB(", b"TFORM1  = '2PB("),
        (b"TTYPE1  = 'COMPRESSED_DATA'", b"TTYPE1  = 'COMPRESSED_DATE'"),
        (b"ZIMAGE  =                    T", b"ZTABLE  =                    T"),
    ],
)
def test_d07_headers_that_make_no_sense_are_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    data = packed_bytes(tmp_path)
    assert old in data
    with pytest.raises((InvalidFile, NotFits)):
        read(data.replace(old, new))


def test_d07_damaged_tiles_end_the_bytes_with_an_error(tmp_path: Path) -> None:
    data = packed_bytes(tmp_path)
    start = table_start(data)
    for place, value, error in ((0, 2**20, TruncatedFile), (4, 2**30, TruncatedFile), (0, 0, InvalidFile)):
        broken = bytearray(data)
        broken[start + place : start + place + 4] = value.to_bytes(4, "big")
        with pytest.raises(error):
            read(bytes(broken))
    gzipped = written(
        tmp_path, fits.PrimaryHDU(), fits.CompImageHDU(pixels((60, 70), "int16"), compression_type="GZIP_1")
    ).read_bytes()
    with pytest.raises(InvalidFile):
        read(gzipped.replace(b"\x1f\x8b", b"\x1f\x8c"))


def test_d07_a_tile_of_another_size_than_its_place_is_refused(tmp_path: Path) -> None:
    """astropy's decoder believes the size in the data, and writes beyond its memory."""
    image = fits.CompImageHDU(pixels((60, 70), "int16"), compression_type="HCOMPRESS_1", tile_shape=(20, 70))
    data = written(tmp_path, fits.PrimaryHDU(), image).read_bytes()
    for rows in (1, 2000):
        with pytest.raises(InvalidFile):
            read(data.replace(b"\xdd\x99" + (20).to_bytes(4, "big"), b"\xdd\x99" + rows.to_bytes(4, "big")))


def test_d07_a_tile_that_would_grow_beyond_its_pixels_is_refused(tmp_path: Path) -> None:
    image = fits.CompImageHDU(np.zeros((60, 7000), np.int16), compression_type="GZIP_1")
    data = written(tmp_path, fits.PrimaryHDU(), image).read_bytes()
    shrunk = data.replace(b"ZNAXIS1 =                 7000", b"ZNAXIS1 =                    7")
    with pytest.raises(InvalidFile):
        read(shrunk.replace(b"ZTILE1  =                 7000", b"ZTILE1  =                    7"))


@pytest.mark.parametrize("data", [b"", b"x" * 6000, b"%PDF-1.4"])
def test_d07_what_isnt_fits_is_refused(data: bytes) -> None:
    with pytest.raises(NotFits):
        read(data)
