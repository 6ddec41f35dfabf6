"""The one-pass checksums against reference implementations and published values."""

from __future__ import annotations

import hashlib
import random

import pytest

from adapters.file_store.hashing import DROPBOX_BLOCK, Hasher


def crc32c_bit_by_bit(data: bytes) -> str:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return f"{crc ^ 0xFFFFFFFF:08x}"


def dropbox_of_whole(data: bytes) -> str:
    blocks = [data[start : start + 4_194_304] for start in range(0, len(data), 4_194_304)]
    return hashlib.sha256(b"".join(hashlib.sha256(block).digest() for block in blocks)).hexdigest()


@pytest.mark.parametrize(
    "size", [0, 1, DROPBOX_BLOCK - 1, DROPBOX_BLOCK, DROPBOX_BLOCK + 1, 2 * DROPBOX_BLOCK, 2 * DROPBOX_BLOCK + 12_345]
)
@pytest.mark.parametrize("piece", [65_536, 1_000_003, 9_000_000])
def test_all_hashes_equal_the_references_however_the_bytes_are_cut(size: int, piece: int) -> None:
    data = random.Random(size).randbytes(size)
    hasher = Hasher()
    for start in range(0, size, piece):
        hasher.update(data[start : start + piece])
    hashes = hasher.result()
    assert hashes.md5 == hashlib.md5(data).hexdigest()
    assert hashes.sha256 == hashlib.sha256(data).hexdigest()
    assert hashes.dropbox == dropbox_of_whole(data)


@pytest.mark.parametrize("data", [b"", b"a", b"frame" * 101, bytes(5000)])
def test_crc32c_equals_the_bitwise_definition(data: bytes) -> None:
    hasher = Hasher()
    hasher.update(data[:7])
    hasher.update(data[7:])
    assert hasher.result().crc32c == crc32c_bit_by_bit(data)


def test_crc32c_equals_the_check_value_of_its_definition() -> None:
    hasher = Hasher()
    hasher.update(b"123456789")
    assert hasher.result().crc32c == "e3069283"


def test_asking_for_the_result_does_not_disturb_what_follows() -> None:
    hasher = Hasher()
    hasher.update(b"first")
    assert hasher.result() == hasher.result()
    hasher.update(b"second")
    assert hasher.result().dropbox == dropbox_of_whole(b"firstsecond")
