"""A zip archive that is written while it is sent: nothing is compressed, so its length is known before the first byte.

PKWARE's APPNOTE 6.3: stored entries, each followed by its checksum (bit 3), in UTF-8 (bit 11); the 64-bit forms only
where a size, an offset or the number of entries needs them.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from domain.errors import RetryLater

_FLAGS = 0x0808
_STORED = 0
_PLAIN_VERSION, _ZIP64_VERSION = 20, 45
_UNIX = 3 << 8
_MODE = 0o100644 << 16
_MANY = 0xFFFF
_LARGE = 0xFFFFFFFF


class ZipEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be put into an archive: exactly `size` bytes, which `pieces` begins to fetch when their turn comes."""

    name: str
    size: int
    modified: datetime
    pieces: Callable[[], Iterator[bytes]]


class ZipStream:
    """An archive of these entries, in this order."""

    def __init__(self, entries: Iterable[ZipEntry]) -> None:
        self._members: list[_Member] = []
        at = 0
        for entry in entries:
            member = _Member(entry, at)
            self._members.append(member)
            at += member.length
        self._directory_at = at
        self._directory_bytes = sum(len(member.directory_record(0)) for member in self._members)
        self.size = at + self._directory_bytes + len(self._end())

    def pieces(self) -> Generator[bytes, None, None]:
        """The archive's bytes, in order.

        Raises what an entry raises, and RetryLater for an entry that is shorter or longer than it said: the archive
        then ends before its directory, so nobody takes it for whole.
        """
        checksums = []
        for member in self._members:
            yield member.header
            checksum = 0
            for piece in member.exactly():
                checksum = zlib.crc32(piece, checksum)
                yield piece
            yield member.descriptor(checksum)
            checksums.append(checksum)
        for member, checksum in zip(self._members, checksums, strict=True):
            yield member.directory_record(checksum)
        yield self._end()

    def _end(self) -> bytes:
        count, size, at = len(self._members), self._directory_bytes, self._directory_at
        end = struct.pack(
            "<4s4H2LH", b"PK\5\6", 0, 0, min(count, _MANY), min(count, _MANY), min(size, _LARGE), min(at, _LARGE), 0
        )
        if count < _MANY and size < _LARGE and at < _LARGE:
            return end
        versions = _UNIX | _ZIP64_VERSION, _ZIP64_VERSION
        large_end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, *versions, 0, 0, count, count, size, at)
        return large_end + struct.pack("<4sLQL", b"PK\6\7", 0, at + size, 1) + end


class _Member:
    """One entry, at its place in the archive."""

    def __init__(self, entry: ZipEntry, at: int) -> None:
        self._entry = entry
        self._at = at
        self._name = safe_name(entry.name).encode()
        self._large = entry.size >= _LARGE
        self._when = _dos_time(entry.modified)
        size = min(entry.size, _LARGE)
        extra = struct.pack("<2H2Q", 1, 16, entry.size, entry.size) if self._large else b""
        version = _ZIP64_VERSION if self._large else _PLAIN_VERSION
        fields = (version, _FLAGS, _STORED, *self._when, 0, size, size, len(self._name), len(extra))
        self.header = struct.pack("<4s5H3L2H", b"PK\3\4", *fields) + self._name + extra
        self.length = len(self.header) + entry.size + len(self.descriptor(0))

    def exactly(self) -> Iterator[bytes]:
        left = self._entry.size
        for piece in self._entry.pieces():
            left -= len(piece)
            if left < 0:
                break
            yield piece
        if left:
            raise RetryLater(f"{self._entry.name} hasn't the length that the archive knows.")

    def descriptor(self, checksum: int) -> bytes:
        sizes = "2Q" if self._large else "2L"
        return struct.pack(f"<4sL{sizes}", b"PK\7\x08", checksum, self._entry.size, self._entry.size)

    def directory_record(self, checksum: int) -> bytes:
        size, at = self._entry.size, self._at
        large = [size, size] * self._large + [at] * (at >= _LARGE)
        extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        version = _ZIP64_VERSION if large else _PLAIN_VERSION
        size, at = min(size, _LARGE), min(at, _LARGE)
        fields = (_UNIX | version, version, _FLAGS, _STORED, *self._when, checksum, size, size)
        lengths = (len(self._name), len(extra), 0, 0, 0, _MODE, at)
        return struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields, *lengths) + self._name + extra


def safe_name(name: str) -> str:
    """A name that can't leave the folder that an archive is unpacked in, and that every system can write."""
    parts = [re.sub(r'[\x00-\x1f\x7f\\:*?"<>|]', "_", part) for part in name.split("/")]
    return "/".join("_" if part in ("", ".", "..") else part for part in parts)


def _dos_time(moment: datetime) -> tuple[int, int]:
    """Time and date as zip has them: no zone (ours is UTC), steps of two seconds, 1980 to 2107."""
    moment = moment.astimezone(UTC)
    if not 1980 <= moment.year <= 2107:
        return 0, 0x21
    date = moment.year - 1980 << 9 | moment.month << 5 | moment.day
    return moment.hour << 11 | moment.minute << 5 | moment.second // 2, date
