"""Bytes in order, from a plain file or out of a gzip file, in bounded memory and within bounded expansion."""

from __future__ import annotations

import zlib
from typing import BinaryIO, Protocol

from domain.errors import ExpandsTooMuch, NotFits, TruncatedFile

CHUNK = 1 << 16
SMALL = 256 << 20
"""Bytes; below this a high compression ratio harms nobody (blank frames compress a thousandfold)."""
HIGHEST_GZIP_RATIO = 200
_GZIP_MEMBER = 31
"""zlib's window bits for one gzip member with its header and checksum."""


class ByteStream(Protocol):
    """Read forward only. Both methods fall short only where the bytes end."""

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer only at the end."""
        ...

    def skip(self, count: int) -> int:
        """Pass over `count` bytes; returns how many there were."""
        ...


class PlainStream:
    """A seekable file of `size` bytes: what is skipped is never read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._at = 0

    def read(self, count: int) -> bytes:
        data = self._file.read(count)
        self._at += len(data)
        return data

    def skip(self, count: int) -> int:
        skipped = max(0, min(count, self._size - self._at))
        self._at += skipped
        self._file.seek(self._at)
        return skipped


class GzipStream:
    """Unpacks gzip members one after the other; checks their checksums.

    Raises NotFits when the packing is broken, TruncatedFile when it ends early, and ExpandsTooMuch beyond
    `max_bytes`, or beyond `HIGHEST_GZIP_RATIO` times the packed size once more than `SMALL` bytes came out.
    """

    def __init__(self, file: BinaryIO, size: int, filename: str, max_bytes: int) -> None:
        self._file = file
        self._size = size
        self._filename = filename
        self._max_bytes = max_bytes
        self._unpacked = 0
        self._packed = b""
        self._member: zlib._Decompress | None = None
        self._members = 0

    def read(self, count: int) -> bytes:
        parts = []
        while count > 0:
            part = self._next(min(count, CHUNK))
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def skip(self, count: int) -> int:
        left = count
        while left > 0:
            part = self._next(min(left, CHUNK))
            if not part:
                break
            left -= len(part)
        return count - left

    def _next(self, count: int) -> bytes:
        """Between 1 and `count` bytes; none at the end."""
        while True:
            if not self._packed:
                self._packed = self._file.read(CHUNK)
            if self._member is None and not self._begin_member():
                return b""
            assert self._member is not None
            input_ended = not self._packed
            data = self._unpack(count)
            if input_ended and not data and not self._member.eof:
                raise TruncatedFile(f"{self._filename} is cut short: its gzip data ends before its own end mark.")
            if self._member.eof:
                self._packed = self._member.unused_data
                self._member = None
            if data:
                self._count(len(data))
                return data

    def _begin_member(self) -> bool:
        if self._members:
            # Tape writers pad a gzip file with zeros.
            while self._packed and not self._packed.strip(b"\0"):
                self._packed = self._file.read(CHUNK)
            self._packed = self._packed.lstrip(b"\0")
            if not self._packed:
                return False
        if not self._packed.startswith(b"\x1f"):
            if self._members:
                raise NotFits(f"{self._filename} carries something that isn't gzip after its gzip data.")
            raise NotFits(f"{self._filename} isn't gzip data, as its name says it is.")
        self._member = zlib.decompressobj(_GZIP_MEMBER)
        self._members += 1
        return True

    def _unpack(self, count: int) -> bytes:
        assert self._member is not None
        try:
            data = self._member.decompress(self._packed, count)
        except zlib.error:
            raise NotFits(f"{self._filename} can't be unpacked: its gzip data is damaged.") from None
        self._packed = self._member.unconsumed_tail
        return data

    def _count(self, unpacked: int) -> None:
        self._unpacked += unpacked
        if self._unpacked > self._max_bytes:
            raise ExpandsTooMuch(
                f"{self._filename} unpacks to more than {self._max_bytes:,} bytes, the most that a frame may have."
            )
        if self._unpacked > SMALL and self._unpacked > HIGHEST_GZIP_RATIO * self._size:
            raise ExpandsTooMuch(
                f"{self._filename} has {self._size:,} bytes and unpacks to more than {self._unpacked:,}, "
                f"over {HIGHEST_GZIP_RATIO} times as many."
            )
