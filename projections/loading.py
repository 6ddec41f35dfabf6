"""The first, long part of a rebuild: the log from its beginning into empty tables, and the indexes on them.

Reading, decoding and making rows of one stretch goes on while the database takes in the one before. All is written in
the log's order, a stretch a transaction.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import msgspec
import psycopg

from application.ports.event_log import EventLog
from domain.event import Recorded
from projections.projection import Cursor, Projection

STRETCH = 2000
"""Events of a transaction. The memory that a load takes is that of four such stretches, some 20 MB."""
MAKERS = 2
"""Threads that read and make rows: one waits for the database while the other works."""
CONNECTIONS = 2
"""Indexes that are made at a time. With more, readers would wait for a processor."""
INDEX_MEMORY_KB = 256 * 1024
"""A GIN index is made of as many pieces as its keys fill this memory: at a million frames the one of trigrams takes half
as long as with the server's usual 64 MB."""

Report = Callable[[int, int], None]


@runtime_checkable
class Loaded(Protocol):
    """What a read model may have for the sake of a load: `apply` in two halves, for tables that were empty at first."""

    def prepare(self, events: Sequence[Recorded]) -> Any:
        """What can be made of events without a look into the tables. Called from several threads."""
        ...

    def load(self, cursor: Cursor, prepared: Any) -> None:
        """Bring the tables, which hold what all events before have made, to after these. Raises UniqueViolation when a
        row isn't as new as a stream's first event lets one think: then `apply` is asked."""
        ...


class _Stretch(msgspec.Struct, frozen=True):
    events: Sequence[Recorded]
    upto: int
    prepared: Any


def load(
    conninfo: str, log: EventLog, projection: Projection, schema: str, position: int, upto: int, report: Report
) -> int:
    """Apply the events after `position` until `upto` to the tables in `schema`, which hold those before. Returns the
    position reached, `upto`."""
    with _collector_off(), psycopg.connect(conninfo, autocommit=True) as connection:
        for stretch in _stretches(log, projection, position, upto):
            _write(connection, projection, schema, stretch)
            report(stretch.upto, upto)
    return max(position, upto)


def create_indexes(conninfo: str, projection: Projection, schema: str) -> None:
    """Make the indexes that a load does without, the largest kind first."""
    statements = [text.strip() for text in projection.indexes.split(";") if text.strip()]
    statements.sort(key=lambda text: " USING gin " not in text)

    def make(statement: str) -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(f"SET search_path TO {schema}".encode())
            connection.execute(
                "SELECT set_config('maintenance_work_mem', %s, false) FROM pg_settings "
                "WHERE name = 'maintenance_work_mem' AND setting::int < %s",
                (f"{INDEX_MEMORY_KB}kB", INDEX_MEMORY_KB),
            )
            connection.execute(b"SET max_parallel_maintenance_workers TO 0")
            connection.execute(statement.encode())

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(make, statements))


@contextmanager
def _collector_off() -> Iterator[None]:
    """Python's collector of reference cycles would look through everything again and again, for a sixth of the time;
    rows and events have no cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _stretches(log: EventLog, projection: Projection, position: int, upto: int) -> Iterator[_Stretch]:
    """What is to be written, in order; a few ahead are being made."""
    starts = iter(range(position, upto, STRETCH))
    with ThreadPoolExecutor(MAKERS) as makers:
        coming: deque[Future[_Stretch]] = deque()
        try:
            while True:
                while len(coming) <= MAKERS and (start := next(starts, None)) is not None:
                    coming.append(makers.submit(_make, log, projection, start, min(start + STRETCH, upto)))
                if not coming:
                    return
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


def _make(log: EventLog, projection: Projection, after: int, upto: int) -> _Stretch:
    batch = log.read(after, STRETCH, upto=upto, topics=projection.topics)
    prepared = projection.prepare(batch.events) if isinstance(projection, Loaded) else None
    return _Stretch(batch.events, upto, prepared)


def _write(connection: psycopg.Connection[Any], projection: Projection, schema: str, stretch: _Stretch) -> None:
    if not stretch.events:
        return
    try:
        with connection.transaction(), connection.cursor() as cursor:
            _settle(cursor, schema)
            if isinstance(projection, Loaded):
                projection.load(cursor, stretch.prepared)
            else:
                projection.apply(cursor, stretch.events)
    except psycopg.errors.UniqueViolation:
        with connection.transaction(), connection.cursor() as cursor:
            _settle(cursor, schema)
            projection.apply(cursor, stretch.events)


def _settle(cursor: Cursor, schema: str) -> None:
    cursor.execute(b"SET LOCAL synchronous_commit TO off")
    cursor.execute(f"SET LOCAL search_path TO {schema}".encode())
