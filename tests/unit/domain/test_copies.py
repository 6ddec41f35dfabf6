"""When a copy counts as ours."""

from __future__ import annotations

import pytest

from domain.copies import STRENGTH, verify
from domain.errors import ChecksumMismatch
from domain.hashes import Hashes

OURS = Hashes(md5="11", sha256="22", crc32c="33", dropbox="44")
ALL = {"md5": "11", "sha256": "22", "crc32c": "33", "dropbox": "44"}


@pytest.mark.parametrize("name", STRENGTH)
def test_one_equal_checksum_is_enough_and_is_named(name: str) -> None:
    assert verify("11", 5, OURS, 5, {name: ALL[name]}) == {name: ALL[name]}


def test_all_checksums_given_are_compared_the_strongest_first() -> None:
    assert list(verify("11", 5, OURS, 5, ALL).items()) == [(name, ALL[name]) for name in STRENGTH]


@pytest.mark.parametrize("name", STRENGTH)
def test_one_different_checksum_spoils_all_others(name: str) -> None:
    with pytest.raises(ChecksumMismatch, match=name):
        verify("11", 5, OURS, 5, ALL | {name: "ff"})


def test_another_size_is_another_file_even_with_equal_checksums() -> None:
    with pytest.raises(ChecksumMismatch, match="4 bytes, the file 5"):
        verify("11", 5, OURS, 4, ALL)


@pytest.mark.parametrize("theirs", [{}, {"sha512": "99"}, {"md5": ""}])
def test_a_copy_without_a_known_checksum_is_not_verified(theirs: dict[str, str]) -> None:
    with pytest.raises(ChecksumMismatch, match="no checksum"):
        verify("11", 5, OURS, 5, theirs)


def test_the_case_of_hex_digits_does_not_matter() -> None:
    ours = Hashes(md5="ab", sha256="cd", crc32c="ef", dropbox="01")
    assert verify("AB", 5, ours, 5, {"md5": "aB", "sha256": "CD"}) == {"md5": "ab", "sha256": "cd"}


def test_the_md5_is_compared_with_the_archives_own_record() -> None:
    with pytest.raises(ChecksumMismatch, match="md5"):
        verify("99", 5, OURS, 5, {"md5": "11"})
