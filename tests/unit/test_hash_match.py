"""adapters.destinations.hash_match"""

from __future__ import annotations

import pytest

from adapters.destinations.hash_match import settled, verify
from application.ports.destination import Arrived, Upload
from domain.errors import ChecksumMismatch, GiveUp
from domain.hashes import Hashes

OURS = Hashes(md5="0a" * 16, sha256="0b" * 32, crc32c="0c0c0c0c", dropbox="0d" * 32)
UPLOAD = Upload(path="/M31/a.fits", size=5, hashes=OURS, token="t")


def arrived(hashes: dict[str, str], size: int = 5) -> Arrived:
    return Arrived(path=UPLOAD.path, remote_id="1", size=size, hashes=hashes)


@pytest.mark.parametrize(
    ("hashes", "strongest"),
    [
        ({"crc32c": OURS.crc32c}, "crc32c"),
        ({"crc32c": OURS.crc32c, "md5": OURS.md5}, "md5"),
        ({"md5": OURS.md5, "sha256": OURS.sha256, "crc32c": OURS.crc32c}, "sha256"),
        ({"dropbox": OURS.dropbox}, "dropbox"),
        ({"md5": OURS.md5.upper()}, "md5"),
        ({"sha1": "unknown to us", "md5": OURS.md5}, "md5"),
    ],
)
def test_the_strongest_equal_hash_is_named(hashes: dict[str, str], strongest: str) -> None:
    assert verify(UPLOAD, arrived(hashes)) == strongest


@pytest.mark.parametrize("hashes", [{"md5": "00" * 16}, {"md5": OURS.md5, "crc32c": "00000000"}])
def test_s53_one_differing_hash_is_enough_to_refuse(hashes: dict[str, str]) -> None:
    with pytest.raises(ChecksumMismatch, match="checksum differs"):
        verify(UPLOAD, arrived(hashes))


@pytest.mark.parametrize("hashes", [{}, {"sha1": "ff"}, {"md5": ""}])
def test_s53_no_comparable_hash_is_a_mismatch(hashes: dict[str, str]) -> None:
    with pytest.raises(ChecksumMismatch, match="no checksum"):
        verify(UPLOAD, arrived(hashes))


def test_another_size_is_a_mismatch_whatever_the_hashes_say() -> None:
    with pytest.raises(ChecksumMismatch, match="4 bytes of a file that has 5"):
        verify(UPLOAD, arrived({"md5": OURS.md5}, size=4))


def test_an_equal_file_at_the_path_is_the_delivered_one() -> None:
    there = arrived({"md5": OURS.md5})
    assert settled(UPLOAD, there) is there


def test_another_file_at_the_path_is_for_good() -> None:
    with pytest.raises(GiveUp, match=r"Another file is already at /M31/a\.fits"):
        settled(UPLOAD, arrived({"md5": "00" * 16}))
