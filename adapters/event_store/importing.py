"""Imports exported logs into a store that is empty or holds a beginning of the same log.

A block is one transaction: its events with their positions, the claims that follow from them, the sequences, the
seals, and how far each policy has come. What is there already is compared instead, so that an import that was killed is
gone on with by giving the same files again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import psycopg
from eventsourcing.persistence import MapperDeserialisationError, Notification

from adapters.event_store.export_format import Block, EventLine, Header, Reader, event_line
from adapters.event_store.histories import changes_of
from adapters.event_store.mapper import EventMapper
from adapters.event_store.names import storable
from adapters.event_store.numbers import BlockNumbers
from adapters.event_store.reaching import reaching
from adapters.event_store.seals import BEGINNING, chained, last_seal
from adapters.event_store.segments import RememberingCompressor, Row, SegmentDigest, stored_rows
from application.names_and_numbers import numbers_of
from domain.catalogue import EVENTS
from domain.errors import Conflict, InvalidInput
from domain.event import Recorded

WRITERS = 7236837104
"""Held by every writer until its commit is durable (migration 0001)."""

WAIT_SECONDS = 5.0

_INSERT = (
    "INSERT INTO starferry.starferry_events (notification_id, originator_id, originator_version, topic, state) "
    "SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::bytea[])"
)
_SEQUENCE = (
    "SELECT setval('starferry.starferry_events_notification_id_seq', greatest(%s, last_value)) "
    "FROM starferry.starferry_events_notification_id_seq"
)
_POSITION = (
    "INSERT INTO starferry.consumer AS c VALUES (%s, %s) "
    "ON CONFLICT (name) DO UPDATE SET position = greatest(c.position, excluded.position)"
)
_SEAL = (
    "INSERT INTO starferry.seal (since, upto, count, digest, sealed_at) SELECT %(since)s, %(upto)s, %(count)s, "
    "%(digest)s, %(sealed_at)s WHERE %(since)s = (SELECT coalesce(max(upto), 0) FROM starferry.seal)"
)


class Imported(msgspec.Struct, kw_only=True):
    """What was done, or in a dry run would be."""

    files: int = 0
    events: int = 0
    known: int = 0
    upto: int = 0


class Importer:
    """One import. `announcing` are consumers that tell people or programs of events as news: where the file doesn't say
    how far one had come, it begins behind what is imported."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        numbers: BlockNumbers,
        announcing: Sequence[str],
        progress: Callable[[int, int, int], None] = lambda _position, _upto, _events: None,
    ) -> None:
        self._connection = connection
        self._numbers = numbers
        self._announcing = announcing
        self._progress = progress
        self._mapper = EventMapper()
        self._unpacker = self._mapper.compressor = RememberingCompressor()
        self._reserved = 0

    def run(self, paths: Sequence[Path], *, dry_run: bool = False) -> Imported:
        """Import the files, whose parts follow each other. Raises InvalidInput for a file that can't be imported, from
        the first block on that isn't sound; Conflict when the store holds another log; RetryLater."""
        done = Imported()
        with reaching():
            headers = [_header(path) for path in paths]
            for (_, before), (path, after) in pairwise(zip(paths, headers, strict=True)):
                if not after.since <= before.upto < after.upto:
                    raise InvalidInput(f"{path} doesn't go on where the file before it ends, at {before.upto}.")
            head = self._head()
            for path, header in zip(paths, headers, strict=True):
                if header.since > head:
                    raise InvalidInput(
                        f"{path} begins behind position {header.since}, and the log here ends at {head}: import what "
                        "lies between first."
                    )
                with path.open("rb") as file:
                    head = self._file(file, head, done, dry_run=dry_run)
                done.files += 1
            done.upto = head
        return done

    def _file(self, file: BinaryIO, head: int, done: Imported, *, dry_run: bool) -> int:
        reader = Reader(file)
        seals = _SealsInTheFile(reader.header)
        if head >= reader.header.since and not dry_run:
            self._follows(reader.header)
        for block in reader.blocks():
            rows = self._rows(block)
            seals.take(block, rows)
            known = self._known(block, rows, head)
            if known < len(rows) and not dry_run:
                self._store(reader.header, block, rows[known:], head)
            done.known += known
            done.events += len(rows) - known
            head = max(head, block.head.upto if dry_run else rows[-1][0].position if rows else 0)
            self._progress(block.head.upto, reader.header.upto, done.events + done.known)
        return head

    def _follows(self, header: Header) -> None:
        """A part that begins further on must follow the same log: its seal there says so."""
        if header.since == 0:
            return
        seal = last_seal(self._connection, header.since)
        if seal is None or (seal.upto, seal.digest.hex()) != (header.since, header.previous):
            raise Conflict(
                f"The log here wasn't sealed at {header.since} as the one in the file was: it is another log. Import "
                "the part before from the same store first."
            )

    def _rows(self, block: Block) -> list[tuple[Row, Recorded]]:
        """The block's events, stored form and event. Raises InvalidInput."""
        rows, before = [], block.head.since
        for line in block.events():
            if not before < line.p <= block.head.upto or not storable(line.s):
                raise InvalidInput(f"Block {block.head.block} holds event {line.p} where it can't be.")
            before = line.p
            rows.append(self._row(line))
        return rows

    def _row(self, line: EventLine) -> tuple[Row, Recorded]:
        row = Row(line.p, line.s, line.n, line.t, self._unpacker.compress(line.body))
        stored = Notification(id=line.p, originator_id=line.s, originator_version=line.n, topic=line.t, state=row.state)
        try:
            return row, self._mapper.to_domain_event(stored)
        except MapperDeserialisationError as error:
            raise InvalidInput(f"Event {line.p} of the file can't be imported. {error}.") from error

    def _known(self, block: Block, rows: Sequence[tuple[Row, Recorded]], head: int) -> int:
        """How many of the block's events are here already. Raises Conflict when others are in their places."""
        if head <= block.head.since:
            return 0
        lines = block.lines.splitlines(keepends=True)
        number = 0
        for found in stored_rows(self._connection, block.head.since, min(head, block.head.upto)):
            for row in found:
                if number == len(lines) or self._line(row) != lines[number]:
                    raise _another_log(row.position, row.stream)
                number += 1
        if number < len(rows) and rows[number][0].position <= head:
            row = rows[number][0]
            raise _another_log(row.position, row.stream)
        return number

    def _line(self, row: Row) -> bytes:
        try:
            return event_line(row, self._unpacker.decompress(row.state))
        except Exception as error:
            raise Conflict(f"Event {row.position} here can't be read; run starferry events verify.") from error

    def _store(self, header: Header, block: Block, rows: Sequence[tuple[Row, Recorded]], head: int) -> None:
        self._reserve(rows)
        connection = self._connection
        upto = rows[-1][0].position
        try:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (WRITERS,))
                if self._head() != head:
                    raise Conflict("Something else has written to the log meanwhile; stop all of Starferry and look.")
                columns = [list(column) for column in zip(*(row for row, _ in rows), strict=True)]
                connection.execute(_INSERT, columns)
                connection.execute(_SEQUENCE, (upto,))
                self._claim([recorded for _, recorded in rows])
                for name, position in self._positions(header, upto).items():
                    connection.execute(_POSITION, (name, position))
                for seal in block.head.seals:
                    connection.execute(_SEAL, {**msgspec.structs.asdict(seal), "digest": bytes.fromhex(seal.digest)})
                connection.execute("SELECT pg_notify('starferry_events', '')")
        except psycopg.errors.UniqueViolation as error:
            raise InvalidInput(
                f"Block {block.head.block} holds an event twice, or one that is here at another position: "
                f"{error.diag.message_detail}"
            ) from error

    def _reserve(self, rows: Sequence[tuple[Row, Recorded]]) -> None:
        """Have ids begin behind those of these events, before they are there."""
        highest = max((number for _, recorded in rows for number in numbers_of(recorded.event)), default=0)
        if highest > self._reserved:
            self._numbers.reserve(highest)
            self._reserved = highest

    def _claim(self, events: Sequence[Recorded]) -> None:
        last: dict[str, bool] = {}
        for changes in changes_of(self._connection, self._mapper, events):
            last |= dict.fromkeys(changes.released, False)
            last |= dict.fromkeys(changes.taken, True)
        released = [name for name, taken in last.items() if not taken]
        taken = [name for name, is_taken in last.items() if is_taken]
        self._connection.execute("DELETE FROM starferry.claim WHERE name = ANY(%s)", (released,))
        self._connection.execute(
            "INSERT INTO starferry.claim SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", (taken,)
        )

    def _positions(self, header: Header, upto: int) -> dict[str, int]:
        behind = dict.fromkeys(self._announcing, upto)
        return {**behind, **{name: min(position, upto) for name, position in header.positions.items() if position}}

    def _head(self) -> int:
        row = self._connection.execute(
            "SELECT coalesce(max(notification_id), 0) FROM starferry.starferry_events"
        ).fetchone()
        assert row is not None
        return int(row[0])


class _SealsInTheFile:
    """Follows a file's events and compares the seals in it with them."""

    def __init__(self, header: Header) -> None:
        self._previous = bytes.fromhex(header.previous) or BEGINNING
        self._segment = SegmentDigest()

    def take(self, block: Block, rows: Sequence[tuple[Row, Recorded]]) -> None:
        """One more block. Raises InvalidInput where a seal disagrees."""
        seals = list(block.head.seals)
        lines = block.events()
        for (row, _), line in zip(rows, lines, strict=True):
            self._segment.add(row, line.body)
            if not seals or row.position < seals[0].upto:
                continue
            seal = seals.pop(0)
            digest = chained(self._previous, seal.since, seal.upto, self._segment.count, self._segment.digest())
            if digest.hex() != seal.digest:
                raise InvalidInput(
                    f"In block {block.head.block} the events up to {seal.upto} aren't those that were sealed: the file "
                    "was changed after it was made. Export again."
                )
            self._previous, self._segment = digest, SegmentDigest()
        if seals:
            raise InvalidInput(f"Block {block.head.block} has a seal of events that it doesn't hold.")


@contextmanager
def alone(connection: psycopg.Connection[Any], others: Sequence[int]) -> Iterator[None]:
    """Hold the locks of those who drive policies (`others`), and that of all writers. Raises Conflict while one is at
    work."""
    for lock in others:
        if not _locked(connection, lock):
            raise Conflict("`starferry projections` (or `up`) is running on this store: stop it first.")
    deadline = time.monotonic() + WAIT_SECONDS
    while not _locked(connection, WRITERS):
        if time.monotonic() > deadline:
            raise Conflict("Something writes to the log: stop all of Starferry that uses this store first.")
        time.sleep(0.05)
    yield


def _locked(connection: psycopg.Connection[Any], lock: int) -> bool:
    return connection.execute("SELECT pg_try_advisory_lock(%s)", (lock,)).fetchone() == (True,)


def _header(path: Path) -> Header:
    """A file's header, if all of it can be imported. Raises InvalidInput."""
    try:
        with path.open("rb") as file:
            header = Reader(file).header
    except OSError as error:
        raise InvalidInput(f"{path} can't be read: {error.strerror}.") from error
    if header.streams:
        raise InvalidInput(f"{path} holds only some streams: it is for looking at, and can't be imported.")
    newer = [topic for topic, schema in header.schemas.items() if topic not in EVENTS or schema > EVENTS[topic].schema]
    if newer:
        raise InvalidInput(f"{path} was written by a newer program ({', '.join(newer)}): update this one first.")
    return header


def _another_log(position: int, stream: str) -> Conflict:
    return Conflict(
        f"The log here isn't a beginning of the one in the file: they differ at position {position} ({stream}). "
        "Nothing of the file was imported from there on; import into an empty store."
    )
