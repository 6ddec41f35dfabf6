"""The first, long part of a rebuild: the log from its beginning into empty tables, and the indexes on them.

Reading, decoding and making rows of the next stretches goes on while the database takes in one: in processes of their
own where there is much to do. All is written in the log's order, a stretch a transaction.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import psycopg

from application.ports.event_log import EventLog
from domain.errors import RetryLater
from domain.event import Recorded
from projections.making_way import last_in_line
from projections.projection import Cursor, Projection

STRETCH = 2000
"""Events of a transaction. What is on its way is a few stretches, so memory stays the same however long the log is."""
MAKERS = 2
MANY = 100_000
"""Events from which on makers are processes. With fewer they are threads: a process takes a second to begin."""
AHEAD = 3
"""Stretches that are being prepared; one while somebody reads."""
CONNECTIONS = 2
"""Indexes that are made at a time; one while somebody reads."""
INDEX_MEMORY_KB = 256 * 1024
"""A GIN index is put together from as many pieces as its keys fill this memory."""

Record = Callable[[Cursor, int], None]
"""Called in each transaction with the position that it reaches."""
Make = Callable[[int, int], "Future[Any]"]
"""Begins to prepare the events after a position until another."""


@runtime_checkable
class Loaded(Protocol):
    """What a read model may have for the sake of a load: `apply` in two halves, for tables that were empty at first.
    Model and log are pickled on their way to other processes, as is what was prepared on its way back."""

    def prepare(self, events: Sequence[Recorded]) -> Any:
        """What can be made of events without a look into the tables. Called from several threads or processes."""
        ...

    def load(self, cursor: Cursor, prepared: Any) -> None:
        """Bring the tables, which hold what all events before have made, to after these. Raises UniqueViolation when a
        row isn't as new as a stream's first event lets one think: then `apply` is asked."""
        ...


def load(
    connection: psycopg.Connection[Any],
    log: EventLog,
    projection: Projection,
    schema: str,
    position: int,
    upto: int,
    record: Record | None = None,
    somebody_reads: Callable[[], bool] = lambda: False,
) -> Generator[int, None, None]:
    """Apply the events after `position` until `upto` to the tables in `schema`, which hold those before. Yields each
    position reached, when it is committed; `connection` commits by itself. Raises RetryLater when a process that helps
    was killed. Whoever doesn't go on to the end closes it."""

    def write(after: int, until: int, prepared: Any) -> None:
        with _transaction(connection, schema) as cursor:
            if not isinstance(projection, Loaded):
                if prepared:
                    projection.apply(cursor, prepared)
            elif not _loaded(connection, cursor, projection, prepared):
                projection.apply(cursor, _events(log, projection, after, until))
            cursor.execute(b"SET LOCAL search_path TO DEFAULT")
            if record:
                record(cursor, until)

    with (
        _collector_off(),
        _makers(log, projection, upto - position) as make,
        ThreadPoolExecutor(1, initializer=last_in_line) as writer,
    ):
        for after, until, prepared in _stretches(make, position, upto, somebody_reads):
            writer.submit(write, after, until, prepared).result()
            yield until


def create_indexes(conninfo: str, projection: Projection, schema: str, at_a_time: int = CONNECTIONS) -> None:
    """Make the indexes that a load does without, the largest kind first. Those that are there, of one that was stopped,
    are whole."""
    texts = [text.strip() for text in projection.indexes.split(";") if text.strip()]
    statements = [text.replace("INDEX ", "INDEX IF NOT EXISTS ", 1) for text in texts]
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

    with ThreadPoolExecutor(at_a_time) as threads:
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


@contextmanager
def _makers(log: EventLog, projection: Projection, events: int) -> Iterator[Make]:
    """Where rows are made."""
    if isinstance(projection, Loaded) and events >= MANY:
        spawning = multiprocessing.get_context("spawn")  # a fork would share database connections
        with ProcessPoolExecutor(MAKERS, spawning, _begin, (log, projection)) as processes:
            try:
                yield lambda after, upto: processes.submit(_make_here, after, upto)
            except BrokenProcessPool as error:
                raise RetryLater("A process that helped with the rebuild was killed; begin it again.") from error
            finally:
                processes.shutdown(cancel_futures=True)
    else:
        with ThreadPoolExecutor(MAKERS) as threads:
            try:
                yield lambda after, upto: threads.submit(_make, log, projection, after, upto)
            finally:
                threads.shutdown(cancel_futures=True)


def _stretches(
    make: Make, position: int, upto: int, somebody_reads: Callable[[], bool]
) -> Iterator[tuple[int, int, Any]]:
    """Stretches with what was prepared of them, in order; a few ahead are being made."""
    coming: deque[tuple[int, int, Future[Any]]] = deque()
    for after in range(position, upto, STRETCH):
        until = min(after + STRETCH, upto)
        coming.append((after, until, make(after, until)))
        ahead = 1 if somebody_reads() else AHEAD
        while len(coming) > ahead:
            first, last, future = coming.popleft()
            yield first, last, future.result()
    for first, last, future in coming:
        yield first, last, future.result()


_mine: list[tuple[EventLog, Projection]] = []
"""Of a process that makes rows."""


def _begin(log: EventLog, projection: Projection) -> None:
    """Make this process ready to make rows, until the one that wants them ends in whatever way."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    last_in_line()
    gc.disable()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _mine.append((log, projection))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _make_here(after: int, upto: int) -> Any:
    return _make(*_mine[0], after, upto)


def _make(log: EventLog, projection: Projection, after: int, upto: int) -> Any:
    """What is prepared of a stretch, or its events where nothing can be."""
    events = _events(log, projection, after, upto)
    return projection.prepare(events) if isinstance(projection, Loaded) else events


def _events(log: EventLog, projection: Projection, after: int, upto: int) -> Sequence[Recorded]:
    return log.read(after, STRETCH, upto=upto, topics=projection.topics).events


def _loaded(connection: psycopg.Connection[Any], cursor: Cursor, model: Loaded, prepared: Any) -> bool:
    """Whether that could be done; if not, all is as before."""
    try:
        with connection.transaction():
            model.load(cursor, prepared)
    except psycopg.errors.UniqueViolation:
        return False
    return True


@contextmanager
def _transaction(connection: psycopg.Connection[Any], schema: str) -> Iterator[Cursor]:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(b"SET LOCAL synchronous_commit TO off")
        cursor.execute(f"SET LOCAL search_path TO {schema}".encode())
        yield cursor
