"""Seals: a chain of digests beside the log, by which a change of what was sealed shows.

A seal's digest is SHA-256 over `starferry seal 1`, a newline, the digest of the seal before it (32 zero bytes for the
first), `since`, `upto` and `count` (8 bytes each, big-endian) and the digest of its segment (segments.py).
"""

from __future__ import annotations

import hashlib
import struct
import threading
from datetime import datetime
from typing import Any

import msgspec
import psycopg
import structlog
from psycopg.rows import tuple_row

from adapters.event_store.compressor import HeaderCompressor
from adapters.event_store.reaching import reaching
from adapters.event_store.segments import SegmentDigest, stored_rows
from adapters.postgres.advisory_lock import trying, waiting
from domain.errors import InvalidInput, StarferryError

logger = structlog.get_logger()

SEAL_LOCK = 7236837111
SEGMENT = 10_000
"""Events of a seal at most: checked alone in less than a second."""

SEAL_SECONDS = 300.0
"""After so long fewer events are sealed too."""

LOOK_SECONDS = 10.0
AT_A_TIME = 20
"""Seals of one look: an old log is sealed at 20 000 events a second and leaves the processor to others meanwhile."""

BEGINNING = bytes(32)

_PREFIX = b"starferry seal 1\n"
_NUMBERS = struct.Struct(">QQQ")
_SEALS = "SELECT since, upto, count, digest, sealed_at FROM starferry.seal WHERE upto > %s AND since < %s ORDER BY upto"


class Seal(msgspec.Struct, frozen=True):
    """Covers the events of (since, upto] and, through its digest, the seals before it."""

    since: int
    upto: int
    count: int
    digest: bytes
    sealed_at: datetime

    @property
    def name(self) -> str:
        """How an operator notes it elsewhere."""
        return f"{self.digest.hex()}@{self.upto}"


def chained(previous: bytes, since: int, upto: int, count: int, content: bytes) -> bytes:
    """The digest of a seal whose segment has the digest `content`."""
    return hashlib.sha256(_PREFIX + previous + _NUMBERS.pack(since, upto, count) + content).digest()


def seal_named(text: str) -> tuple[bytes, int]:
    """Digest and position of a seal's name. Raises InvalidInput."""
    digest, _, position = text.partition("@")
    try:
        found = bytes.fromhex(digest), int(position)
    except ValueError:
        found = b"", 0
    if len(found[0]) != 32 or found[1] < 1:
        raise InvalidInput(f"{text} isn't a seal such as verify shows: 64 hexadecimal digits, @ and a position.")
    return found


def seals_between(connection: psycopg.Connection[Any], since: int, upto: int) -> list[Seal]:
    """The seals that cover any of (since, upto], in order."""
    cursor = connection.cursor(row_factory=tuple_row)
    return [Seal(*row) for row in cursor.execute(_SEALS, (since, upto)).fetchall()]


def last_seal(connection: psycopg.Connection[Any], at_most: int | None = None) -> Seal | None:
    """The newest seal, or the newest that ends at or before `at_most`."""
    cursor = connection.cursor(row_factory=tuple_row)
    row = cursor.execute(
        "SELECT since, upto, count, digest, sealed_at FROM starferry.seal "
        "WHERE upto <= coalesce(%s, 9223372036854775807) ORDER BY upto DESC LIMIT 1",
        (at_most,),
    ).fetchone()
    return Seal(*row) if row else None


class Sealer:
    """Appends seals. Any number of processes may have one: the one that holds the lock works meanwhile."""

    def __init__(self, conninfo: str, *, segment: int = SEGMENT, seconds: float = SEAL_SECONDS) -> None:
        self._conninfo = conninfo
        self._segment = segment
        self._seconds = seconds
        self._compressor = HeaderCompressor()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Seal now and then until stopped; a lost database is met again."""
        failing = ""
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                self.step()
                failing = ""
            except StarferryError as error:
                if failing != str(error):  # once an outage, not once a try
                    logger.warning("the log isn't sealed at the moment", reason=str(error))
                failing = str(error)
            except Exception:
                logger.exception("sealing failed; it is tried again")

    def stop(self) -> None:
        """End after the segment at hand."""
        self._stopped.set()

    def step(self) -> int:
        """Seal whole segments, and the rest when the last seal is old enough; 0 while another process is at it.
        Returns the number of seals. Raises RetryLater."""
        with reaching(), self._connected() as connection, trying(connection, SEAL_LOCK) as held:
            return self._seal(connection, self._is_due(connection), most=AT_A_TIME) if held else 0

    def seal_all(self) -> int:
        """Seal up to the log's head now, after whoever is at it. Returns the number of seals. Raises RetryLater."""
        with reaching(), self._connected() as connection, waiting(connection, SEAL_LOCK):
            return self._seal(connection, True)

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._conninfo, autocommit=True)

    def _seal(self, connection: psycopg.Connection[Any], short: bool, *, most: int | None = None) -> int:
        made = 0
        last = last_seal(connection)
        since, digest = (last.upto, last.digest) if last else (0, BEGINNING)
        head = _head(connection)
        if since > head:
            logger.error("the log ends before its last seal: run starferry events verify", sealed=since, head=head)
        if head - since < self._segment and not short:
            return 0
        while made != most and not self._stopped.is_set() and (found := self._next(connection, since, head)):
            upto, segment = found
            if segment.count < self._segment and not short:
                break
            digest = chained(digest, since, upto, segment.count, segment.digest())
            connection.execute(
                "INSERT INTO starferry.seal (since, upto, count, digest) VALUES (%s, %s, %s, %s)",
                (since, upto, segment.count, digest),
            )
            since = upto
            made += 1
        return made

    def _next(self, connection: psycopg.Connection[Any], since: int, head: int) -> tuple[int, SegmentDigest] | None:
        segment, upto = SegmentDigest(), since
        for rows in stored_rows(connection, since, head):
            for row in rows:
                segment.add(row, self._unpacked(row.state))
                upto = row.position
                if segment.count == self._segment:
                    return upto, segment
        return (upto, segment) if segment.count else None

    def _unpacked(self, state: bytes) -> bytes | None:
        try:
            return self._compressor.decompress(state)
        except Exception:  # an event that can't be read is sealed all the same; verify tells of it
            return None

    def _is_due(self, connection: psycopg.Connection[Any]) -> bool:
        row = connection.execute(
            "SELECT coalesce(max(sealed_at) <= now() - make_interval(secs => %s), true) FROM starferry.seal",
            (self._seconds,),
        ).fetchone()
        return row == (True,)


def _head(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT coalesce(max(notification_id), 0) FROM starferry.starferry_events").fetchone()
    assert row is not None
    return int(row[0])
