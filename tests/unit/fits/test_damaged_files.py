"""However a file is damaged, the answer is a description or a refusal of the domain, never anything else."""

from __future__ import annotations

import gzip
import tempfile
from functools import cache
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvalidFile
from tests.unit.fits.fits_files import WORLD, compressed, describe, plain, raw_header, required_cards, structural


@cache
def sound() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [plain(folder, shape=(20, 30), **WORLD), compressed(folder, shape=(20, 30), **WORLD)]
        found = {path.name.partition(".")[2]: path.read_bytes() for path in files}
    return {**found, "fits.gz": gzip.compress(found["fits"])}


def described_or_refused(content: bytes, ending: str) -> bool:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"tst1m012-fa20-20240517-0042-e00.{ending}"
        path.write_bytes(content)
        try:
            described = describe(path)
        except InvalidFile:
            return False
    msgspec.json.encode((described.record, described.headers))
    assert ".." not in described.path.split("/")
    return True


def test_the_files_to_be_damaged_are_sound() -> None:
    assert all(described_or_refused(content, ending) for ending, content in sound().items())


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["fits", "fits.fz", "fits.gz"]), st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused_unless_only_padding_is_missing(ending: str, part: float) -> None:
    whole = sound()[ending]
    kept = whole[: int(part * len(whole))]
    if described_or_refused(kept, ending):
        assert ending != "fits.gz"
        assert not whole[len(kept) :].strip(b"\0")
        assert len(whole) - len(kept) < 2880


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["fits", "fits.fz", "fits.gz"]),
    st.lists(st.tuples(st.integers(0, 1 << 30), st.binary(min_size=1, max_size=12)), min_size=1, max_size=6),
)
def test_bytes_changed_anywhere_never_break_the_reader(ending: str, changes: list[tuple[int, bytes]]) -> None:
    content = bytearray(sound()[ending])
    for place, change in changes:
        # Most faults matter in the headers, so most changes go there.
        at = place % (len(content) if place % 5 == 0 else min(len(content), 2 * 2880 * 2))
        content[at : at + len(change)] = change
    described_or_refused(bytes(content), ending)


TELLING = ["DATE-OBS", "DAY-OBS", "RLEVEL", "BLKUID", "EXPTIME", "L1PUBDAT", "NAXIS3", "RADIUS", "RA", "DEC"]
TELLING += ["A_ORDER", "PV1_1", "CONTINUE", "HIERARCH", "L1IDBIAS", "ENCID", "SITEID", "OBJECT"]

CARD_TEXT = st.one_of(
    st.binary(max_size=80),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80).map(str.encode),
    st.tuples(
        st.sampled_from([*WORLD, *TELLING]),
        st.sampled_from(["NaN", "-Infinity", "1E999", "9" * 60, "(1, 2)", "T", "''", "' '", "'N/A'", "'None'", "''''"])
        | st.floats().map(repr)
        | st.integers().map(repr)
        | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).map(lambda text: f"'{text}"),
    ).map(lambda pair: f"{pair[0]:<8}= {pair[1]}".encode()[:80]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(CARD_TEXT, max_size=8))
def test_garbage_cards_never_break_the_reader(garbage: list[bytes]) -> None:
    cards = structural(axes=(4, 4))
    content = raw_header(*cards, *garbage, *required_cards(), *[f"{k:<8}= {v!r}" for k, v in WORLD.items()])
    described_or_refused(content + bytes(2880), "fits.fz")
