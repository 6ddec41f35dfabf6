"""All checksums of a stream in one pass."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

import google_crc32c

from domain.hashes import Hashes

DROPBOX_BLOCK = 4 * 1024 * 1024
"""Bytes of a block of the Dropbox content hash (Dropbox developer guide, "Content hash")."""


class Hasher:
    """Feeds the bytes it is given to every checksum of Hashes. Memory is constant; used by one thread at a time.

    Buffers of 64 KiB and more let other threads run meanwhile, because hashlib then releases the interpreter lock.
    """

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._crc32c = 0
        self._blocks = hashlib.sha256()
        self._block = hashlib.sha256()
        self._block_room = DROPBOX_BLOCK

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self._md5.update(data)
        self._sha256.update(data)
        self._crc32c = int(google_crc32c.extend(self._crc32c, bytes(data)))
        rest = memoryview(data)
        while rest:
            part, rest = rest[: self._block_room], rest[self._block_room :]
            self._block.update(part)
            self._block_room -= len(part)
            if not self._block_room:
                self._blocks.update(self._block.digest())
                self._block = hashlib.sha256()
                self._block_room = DROPBOX_BLOCK

    def result(self) -> Hashes:
        """The checksums of all bytes so far; more bytes may follow."""
        blocks = self._blocks.copy()
        if self._block_room < DROPBOX_BLOCK:
            blocks.update(self._block.digest())
        return Hashes(
            md5=self._md5.hexdigest(),
            sha256=self._sha256.hexdigest(),
            crc32c=f"{self._crc32c:08x}",
            dropbox=blocks.hexdigest(),
        )


def hash_file(source: BinaryIO) -> tuple[int, Hashes]:
    """Size and hashes of a whole file, read from its beginning."""
    source.seek(0)
    hasher, size = Hasher(), 0
    while piece := source.read(1024 * 1024):
        hasher.update(piece)
        size += len(piece)
    return size, hasher.result()
