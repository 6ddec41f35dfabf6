"""A file is archived only when its whole structure is sound."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from adapters.fits.hdus import MOST_CARDS, MOST_HDUS
from adapters.fits.reader import FitsReader
from adapters.fits.settings import FitsSettings
from domain.errors import AbsurdSize, InvalidFile, MissingHeader, NotFits, TruncatedFile
from tests.unit.fits.fits_files import (
    compressed,
    describe,
    header,
    plain,
    raw_header,
    required_cards,
    structural,
    with_extensions,
)


def written(folder: Path, content: bytes, name: str = "x.fits") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"hello", "SIMPLE = T"),
        (b"\xff\xd8\xff" + bytes(5000), "SIMPLE = T"),
        (gzip.compress(raw_header(*structural()), mtime=0), "gzip data"),
        (raw_header("SIMPLE  =                    F", *structural()[1:]), "not T"),
        (raw_header(*structural(bitpix=17)), "BITPIX = 17"),
        (raw_header(*structural(bitpix="'x'")), "isn't a whole number"),
        (raw_header("SIMPLE  =                    T"), "lacks BITPIX"),
        (raw_header(*structural(axes=(2, 2))[:-1]), "lacks NAXIS2"),
        (raw_header(*structural(), *required_cards()) + b"junk", "after HDU 0"),
        (raw_header(*structural(), *required_cards()) + bytes(2881), "after its last HDU"),
    ],
)
def test_what_is_not_fits_is_refused_with_the_reason(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(NotFits, match=why) as refusal:
        describe(written(tmp_path, content))
    assert "x.fits" in str(refusal.value)


def test_a_block_of_zeros_after_the_last_hdu_is_tolerated(tmp_path: Path) -> None:
    path = plain(tmp_path)
    path.write_bytes(path.read_bytes() + bytes(2880))
    assert describe(path).record.target_name == "M84"


def test_missing_padding_is_tolerated_and_missing_data_are_not(tmp_path: Path) -> None:
    whole = plain(tmp_path, shape=(10, 10)).read_bytes()
    data_end = len(whole) - 2880 + 200
    assert describe(written(tmp_path, whole[:data_end])).record.target_name == "M84"
    with pytest.raises(TruncatedFile, match="claims 200 bytes of data, and only 199"):
        describe(written(tmp_path, whole[: data_end - 1]))


def test_a_header_without_end_is_cut_short(tmp_path: Path) -> None:
    with pytest.raises(TruncatedFile, match="no END card"):
        describe(written(tmp_path, plain(tmp_path).read_bytes()[:1000]))


def test_a_later_hdu_that_is_cut_short_spoils_the_file(tmp_path: Path) -> None:
    path = with_extensions(tmp_path / "x.fits", [header(), header()])
    path.write_bytes(path.read_bytes()[:-2860])
    with pytest.raises(TruncatedFile, match="HDU 2"):
        describe(path)


def test_g07_all_missing_headers_are_named(tmp_path: Path) -> None:
    path = plain(tmp_path, PROPID=None, BLKUID=None)
    with pytest.raises(MissingHeader, match="lacks the required headers PROPID, BLKUID"):
        describe(path)


def test_g07_a_required_header_that_cannot_be_read_is_missing(tmp_path: Path) -> None:
    cards = [card for card in required_cards() if not card.startswith("SITEID")]
    with pytest.raises(MissingHeader, match="the required header SITEID"):
        describe(written(tmp_path, raw_header(*structural(), *cards, "SITEID  = tst / no quotes")))


def test_a_file_without_any_extension_that_is_complete_names_what_the_best_one_lacks(tmp_path: Path) -> None:
    path = with_extensions(tmp_path / "x.fits", [header(TELID=None), header(TELID=None, SITEID=None)])
    with pytest.raises(MissingHeader, match="the required header TELID"):
        describe(path)


@pytest.mark.parametrize(
    ("cards", "why"),
    [
        (structural(axes=(-5, 2)), "NAXIS1 = -5, below zero"),
        (structural(axes=(1 << 40, 1 << 40)), "claims 2.4e"),
        (structural(axes=("9" * 50, "9" * 50)), "bytes of data"),
        (structural(axes=(100_000, 100_000), bitpix=64), "claims 80,000,000,000 bytes"),
        (structural(axes=(1,), PCOUNT=-1), "PCOUNT = -1"),
        (structural(axes=(1,), GCOUNT=1 << 50), "claims 2,251,799,813,685,248 bytes"),
        (["SIMPLE  =                    T", "BITPIX  = 8", "NAXIS   = 1000"], "from 0 to 999"),
    ],
)
def test_absurd_claims_are_refused(tmp_path: Path, cards: list[str], why: str) -> None:
    with pytest.raises(AbsurdSize, match=why):
        describe(written(tmp_path, raw_header(*cards)))


@pytest.mark.parametrize(
    ("axes", "why"), [((200_000, 200_000), "would unpack to 80,000,000,000"), ((20_000, 20_000), "over 2000 times")]
)
def test_a_compressed_image_that_would_unpack_absurdly_is_refused(
    tmp_path: Path, axes: tuple[int, int], why: str
) -> None:
    table = ["XTENSION= 'BINTABLE'", *structural(bitpix=8, axes=(8, 1), PCOUNT=0, GCOUNT=1, TFIELDS=1)[1:]]
    table += ["ZIMAGE  =                    T", "ZBITPIX = 16", "ZNAXIS  = 2"]
    table += [f"ZNAXIS1 = {axes[0]}", f"ZNAXIS2 = {axes[1]}"]
    content = raw_header(*structural()) + raw_header(*table) + bytes(2880)
    with pytest.raises(AbsurdSize, match=why):
        describe(written(tmp_path, content))


def test_a_header_of_too_many_cards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AbsurdSize, match="more than 10,000 cards"):
        describe(written(tmp_path, raw_header(*structural(), *["COMMENT x"] * (MOST_CARDS + 100))))


def test_too_many_hdus_are_refused(tmp_path: Path) -> None:
    empty = raw_header(*structural(simple=False))
    with pytest.raises(AbsurdSize, match="more than 5,000 HDUs"):
        describe(written(tmp_path, raw_header(*structural()) + empty * MOST_HDUS))


def test_random_groups_are_measured_by_their_own_formula(tmp_path: Path) -> None:
    cards = structural(axes=(0, 3, 4), GROUPS="T", PCOUNT=5, GCOUNT=2)
    content = raw_header(*cards, *required_cards()) + bytes(2 * (5 + 12) * 2)
    assert describe(written(tmp_path, content)).record.site_id == "tst"
    with pytest.raises(TruncatedFile, match="claims 68 bytes"):
        describe(written(tmp_path, content[:-1]))


def test_g03_the_first_hdu_with_all_required_headers_is_chosen(tmp_path: Path) -> None:
    headers = [header(OBJECT="first", SITEID=None), header(OBJECT="second"), header(OBJECT="third")]
    assert describe(with_extensions(tmp_path / "x.fits", headers)).record.target_name == "second"


def test_g03_metadata_of_the_caller_complete_and_override_the_header(tmp_path: Path) -> None:
    path = plain(tmp_path, SITEID=None)
    described = FitsReader().describe(path, path.name, {"SITEID": "abc", "OBJECT": "M85"})
    assert (described.record.site_id, described.headers["OBJECT"]) == ("abc", "M85")


def test_the_limit_of_a_frame_can_be_set(tmp_path: Path) -> None:
    reader = FitsReader(FitsSettings(max_frame_bytes=100))
    with pytest.raises(AbsurdSize, match="claims 200 bytes of data; 100 is the most"):
        describe(plain(tmp_path, shape=(10, 10)), reader)


@pytest.mark.parametrize("name", ["x.txt", "x", ".fits", "x\n.fits", "x.FITS", f"{'x' * 300}.fits", "a\\b.fits"])
def test_g01_a_name_that_cannot_be_archived_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidFile):
        FitsReader().describe(plain(tmp_path), name)


@pytest.mark.parametrize("name", ["absent.fits", "folder.fits"])
def test_what_is_not_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.fits").mkdir()
    with pytest.raises(InvalidFile):
        describe(tmp_path / name)


def test_g03_a_compressed_file_gives_the_headers_that_astropy_gives(tmp_path: Path) -> None:
    from astropy.io import fits

    path = compressed(tmp_path, EXTRA=1.5)
    with fits.open(path) as hdus:
        expected = dict(hdus["SCI"].header)
    assert describe(path).headers.items() >= {k: v for k, v in expected.items() if k != "BLKUID"}.items()
