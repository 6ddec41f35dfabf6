"""Stretches of the log as they are stored, and the digest of one.

The digest of a segment is SHA-256 over its events in order, each as position and version (8 bytes each, big-endian),
stream, topic and state, these three with their length before them (4 bytes). The state is taken unpacked: another
compression of the same event is the same event.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import tuple_row

from adapters.event_store.compressor import HeaderCompressor
from adapters.event_store.recorder import COLUMNS

READ = 1000
"""Rows of one read: some megabytes."""

_NEXT = (
    f"SELECT {COLUMNS} FROM starferry.starferry_events WHERE notification_id > %b AND notification_id <= %b "
    "ORDER BY notification_id LIMIT %b"
)
_PLACE = struct.Struct(">QQI")
_LENGTH = struct.Struct(">I")
_UNREADABLE = 0xFFFFFFFF


class Row(NamedTuple):
    """An event as the table holds it."""

    position: int
    stream: str
    version: int
    topic: str
    state: bytes


class RememberingCompressor(HeaderCompressor):
    """Keeps what it unpacked last, for whoever wants the bytes beside the event that the mapper makes of them."""

    last: bytes | None = None

    def decompress(self, data: bytes) -> bytes:
        """See HeaderCompressor."""
        self.last = None
        self.last = super().decompress(data)
        return self.last


class SegmentDigest:
    """Takes a segment's events one after the other."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.count = 0

    def add(self, row: Row, body: bytes | None) -> None:
        """One more event; `body` is its unpacked state, None when that can't be unpacked (the stored bytes count)."""
        stream, topic = row.stream.encode(), row.topic.encode()
        length = _LENGTH.pack(_UNREADABLE) if body is None else b""
        state = row.state if body is None else body
        self._hash.update(
            b"".join(
                (
                    _PLACE.pack(row.position, row.version, len(stream)),
                    stream,
                    _LENGTH.pack(len(topic)),
                    topic,
                    length,
                    _LENGTH.pack(len(state)),
                    state,
                )
            )
        )
        self.count += 1

    def digest(self) -> bytes:
        """Of all that was added."""
        return self._hash.digest()


def stored_rows(connection: psycopg.Connection[Any], since: int, upto: int) -> Iterator[list[Row]]:
    """The events of (since, upto] in order, READ at a time."""
    while True:
        cursor = connection.cursor(binary=True, row_factory=tuple_row)
        rows = [Row(*row) for row in cursor.execute(_NEXT, (since, upto, READ), prepare=True).fetchall()]
        if rows:
            yield rows
        if len(rows) < READ:
            return
        since = rows[-1].position
