"""Exports the log, or a part of it, to a file; stops at what an import couldn't take."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import psycopg
from eventsourcing.persistence import MapperDeserialisationError, Notification
from psycopg.rows import tuple_row

from adapters.event_store.export_format import (
    BLOCK_BYTES,
    BLOCK_EVENTS,
    FORMAT,
    Header,
    Reader,
    SealLine,
    Trailer,
    Writer,
    event_line,
)
from adapters.event_store.mapper import EventMapper
from adapters.event_store.reaching import reaching
from adapters.event_store.recorder import COLUMNS
from adapters.event_store.seals import BEGINNING, Seal, chained, last_seal, seals_between
from adapters.event_store.segments import RememberingCompressor, Row, SegmentDigest, stored_rows
from domain.catalogue import EVENTS
from domain.errors import Conflict, InvalidInput

Progress = Callable[[int, int], None]

_SOME = (
    f"SELECT {COLUMNS} FROM starferry.starferry_events WHERE notification_id > %b AND notification_id <= %b "
    "AND originator_id = ANY(%b) ORDER BY notification_id LIMIT 1000"
)


class Exporter:
    """One export, through one connection."""

    def __init__(
        self, connection: psycopg.Connection[Any], progress: Progress = lambda _position, _events: None
    ) -> None:
        self._connection = connection
        self._progress = progress
        self._mapper = EventMapper()
        self._unpacker = self._mapper.compressor = RememberingCompressor()

    def plan(self, since: int = 0, to: int | None = None, streams: Sequence[str] = ()) -> Header:
        """What will be in the file. It begins where a seal ends, at or before `since`. Raises InvalidInput."""
        with self._connection.transaction():  # positions of policies and the log's end belong together
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            head = self._one("SELECT coalesce(max(notification_id), 0) FROM starferry.starferry_events")
            positions = dict(self._connection.execute("SELECT name, position FROM starferry.consumer").fetchall())
            upto = head if to is None else min(to, head)
            seal = last_seal(self._connection, since) if not streams else None
        if upto < since:
            raise InvalidInput(f"There is nothing between {since} and {upto}: the log ends at {head}.")
        begin = since if streams else seal.upto if seal else 0
        return Header(
            starferry_log=FORMAT,
            created=datetime.now(UTC),
            since=begin,
            upto=upto,
            previous=seal.digest.hex() if seal else "",
            schemas={topic: event.schema for topic, event in sorted(EVENTS.items())},
            positions={} if streams else self._answered(positions, upto, head),
            streams=tuple(streams),
        )

    def write(self, header: Header, file: BinaryIO) -> Trailer:
        """Write all of it. Raises Conflict where the log isn't sound, RetryLater."""
        writer = Writer(file)
        writer.header(header)
        return self._go_on(header, writer, header.since, 0)

    def resume(self, file: BinaryIO) -> Trailer:
        """Go on in a file that is open for reading and writing, behind its last whole block. Raises InvalidInput when
        the file is no export, Conflict when it isn't of this log."""
        reader = Reader(file)
        header, good = reader.header, reader.good
        last = upto = header.since
        lines = b""
        with contextlib.suppress(InvalidInput):
            for block in reader.blocks():
                last, upto, good, lines = block.head.since, block.head.upto, block.offset, block.lines
        if reader.trailer is not None:
            return reader.trailer
        same = b"".join(event_line(row, body) for row, body in self._events(header, last, upto))
        if same != lines:
            raise Conflict("The unfinished file is of another log, or of one that was changed since; --overwrite it.")
        file.seek(good)
        file.truncate()
        return self._go_on(header, Writer(file, reader.chain), upto, reader.chain.events)

    def _go_on(self, header: Header, writer: Writer, since: int, events: int) -> Trailer:
        seals = _SealsOnTheWay(self._connection, header, since, self._unpacked)
        lines: list[bytes] = []
        size, place = 0, since
        with reaching():
            for row, body in self._events(header, since, header.upto):
                lines.append(event_line(row, body))
                size += len(lines[-1])
                seals.take(row, body)
                if len(lines) >= BLOCK_EVENTS or size >= BLOCK_BYTES:
                    writer.block(place, lines, row.position, seals.passed())
                    events += len(lines)
                    place, size = row.position, 0
                    lines = []
                    self._progress(place, events)
            if lines or place < header.upto:
                writer.block(place, lines, header.upto, seals.passed())
        return writer.trailer(header.upto)

    def _events(self, header: Header, since: int, upto: int) -> Iterator[tuple[Row, bytes]]:
        some = self._some(header.streams, since, upto) if header.streams else stored_rows(self._connection, since, upto)
        for rows in some:
            for row in rows:
                yield row, self._readable(row)

    def _some(self, streams: Sequence[str], since: int, upto: int) -> Iterator[list[Row]]:
        while True:
            cursor = self._connection.cursor(binary=True, row_factory=tuple_row)
            rows = [Row(*row) for row in cursor.execute(_SOME, (since, upto, list(streams))).fetchall()]
            if not rows:
                return
            yield rows
            since = rows[-1].position

    def _readable(self, row: Row) -> bytes:
        """An event's body, if it can be read: an import would stop at one that can't."""
        stored = Notification(
            id=row.position, originator_id=row.stream, originator_version=row.version, topic=row.topic, state=row.state
        )
        try:
            self._mapper.to_domain_event(stored)
        except MapperDeserialisationError as error:
            raise Conflict(f"Event {row.position} can't be exported. {error}; run starferry events verify.") from error
        assert self._unpacker.last is not None
        return self._unpacker.last

    def _unpacked(self, row: Row) -> bytes:
        return self._unpacker.decompress(row.state)

    def _answered(self, positions: Mapping[str, int], upto: int, head: int) -> dict[str, int]:
        """How far each policy had come, as far as what it answered is in the file: an export that ends before the log
        may hold an event whose answer it doesn't hold."""
        answered = {name: min(position, upto) for name, position in positions.items()}
        for rows in stored_rows(self._connection, upto, head) if upto < head else ():
            for row in rows:
                cause = msgspec.json.decode(self._readable(row), type=_Caused).by
                name = cause.actor
                if cause.causation is not None and cause.causation <= upto and name in answered:
                    answered[name] = min(answered[name], cause.causation - 1)
        return answered

    def _one(self, statement: str) -> int:
        row = self._connection.execute(statement.encode()).fetchone()
        assert row is not None
        return int(row[0])


class _By(msgspec.Struct):
    actor: str
    causation: int | None = None


class _Caused(msgspec.Struct):
    by: _By


class _SealsOnTheWay:
    """Compares seals with the events that pass, and gives those whose last event has passed."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        header: Header,
        since: int,
        unpacked: Callable[[Row], bytes],
    ) -> None:
        found = [] if header.streams else seals_between(connection, since, header.upto)
        self._seals = [seal for seal in found if seal.upto <= header.upto]
        self._previous = self._digest_before(connection)
        self._segment = SegmentDigest()
        self._passed: list[Seal] = []
        if self._seals and self._seals[0].since < since:  # resumed in the middle of a segment
            for rows in stored_rows(connection, self._seals[0].since, since):
                for row in rows:
                    self._segment.add(row, unpacked(row))

    def take(self, row: Row, body: bytes) -> None:
        """One more event. Raises Conflict where seal and events disagree."""
        self._segment.add(row, body)
        if not self._seals or row.position < self._seals[0].upto:
            return
        seal = self._seals.pop(0)
        digest = chained(self._previous, seal.since, seal.upto, self._segment.count, self._segment.digest())
        if digest != seal.digest:
            raise Conflict(
                f"The events up to {seal.upto} aren't as they were sealed, so this log can't be exported; "
                "run starferry events verify."
            )
        self._previous = seal.digest
        self._segment = SegmentDigest()
        self._passed.append(seal)

    def passed(self) -> list[SealLine]:
        """Seals since the last call."""
        passed, self._passed = self._passed, []
        return [
            SealLine(
                since=seal.since, upto=seal.upto, count=seal.count, digest=seal.digest.hex(), sealed_at=seal.sealed_at
            )
            for seal in passed
        ]

    def _digest_before(self, connection: psycopg.Connection[Any]) -> bytes:
        if not self._seals:
            return BEGINNING
        before = last_seal(connection, self._seals[0].since)
        return before.digest if before else BEGINNING


def export_to(
    path: Path, exporter: Exporter, header: Callable[[], Header], *, overwrite: bool, resume: bool
) -> Trailer:
    """Export to `path` by way of a file beside it, which gets its name when it is whole and on disk. Only its owner may
    read it. Raises Conflict for a file that is there."""
    unfinished = path.with_name(path.name + ".part")
    if path.exists() and not overwrite:
        raise Conflict(f"{path} is there already; --overwrite replaces it.")
    if unfinished.exists() and not (resume or overwrite):
        raise Conflict(f"There is an unfinished export, {unfinished}; go on with --resume, or --overwrite it.")
    if resume and unfinished.exists() and is_begun(unfinished):
        with unfinished.open("r+b") as file:
            trailer = exporter.resume(file)
            _to_disk(file)
    else:
        planned = header()
        with open(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            trailer = exporter.write(planned, file)
            _to_disk(file)
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return trailer


def is_begun(unfinished: Path) -> bool:
    """Whether there is a whole header to go on behind."""
    with unfinished.open("rb") as file:
        try:
            Reader(file)
        except InvalidInput:
            return False
    return True


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
