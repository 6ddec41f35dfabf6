"""Builds a read model anew from the log beside the live one, compares the two, and swaps them in one transaction.

Readers are answered all the time. It can be stopped at any moment: what was built is thrown away by the next run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg

from application.ports.event_log import EventLog
from domain.errors import Conflict
from projections.loading import create_indexes, load
from projections.projection import Projection, checksum_query, live_schema
from projections.runner import build_schema

BATCH = 2000
REBUILD_LOCK = 7236837102
LOCK_MILLISECONDS = 1000

Report = Callable[[int, int], None]
"""Called with the position reached and the position to reach."""


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild did. `tables` gives for each table its rows and whether they equal the old ones."""

    name: str
    position: int
    seconds: float
    tables: dict[str, tuple[int, bool]]

    @property
    def identical(self) -> bool:
        """Whether the new read model equals the one that it replaced."""
        return all(equal for _, equal in self.tables.values())


def rebuild(
    conninfo: str, log: EventLog, projection: Projection, report: Report, *, keep_different: bool = False
) -> Rebuilt:
    """Rebuild one read model and swap it in.

    With `keep_different` a result that differs from the live model is not swapped in: its schema `build_<name>` stays
    for a look. Raises Conflict while another rebuild of the same model runs.
    """
    started = time.monotonic()
    schema = f"build_{projection.name}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        _lock(connection, projection.name)
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
        with connection.transaction():
            build_schema(connection, projection, schema, with_indexes=False)
        position = load(connection, log, projection, schema, 0, _live_position(connection, projection, log), report)
        create_indexes(conninfo, projection, schema)
        connection.execute(f"ANALYZE {', '.join(_tables(connection, schema))}".encode())
        position = _catch_up(
            connection, log, projection, schema, position, _live_position(connection, projection, log), report
        )
        with connection.transaction():
            live, failed = _hold_live(connection, projection)
            target = max(live, position) if not failed else max(log.head(), position)
            position = _catch_up(connection, log, projection, schema, position, target, report)
            tables = _compare(connection, projection.name, schema)
            if keep_different and not all(equal for _, equal in tables.values()):
                return Rebuilt(projection.name, position, time.monotonic() - started, tables)
            _swap(connection, projection, schema, position)
        connection.execute(f"DROP SCHEMA old_{projection.name} CASCADE".encode())
        return Rebuilt(projection.name, position, time.monotonic() - started, tables)


def _lock(connection: psycopg.Connection[Any], name: str) -> None:
    """Only one rebuild of a model at a time; one that has just ended may hold the lock for some milliseconds more."""
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout TO {LOCK_MILLISECONDS}".encode())
            connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (REBUILD_LOCK & 0x7FFFFFFF, name))
    except psycopg.errors.LockNotAvailable:
        raise Conflict(f"Another rebuild of {name} is running; wait for it to end.") from None
    connection.execute(f"DROP SCHEMA IF EXISTS old_{name} CASCADE".encode())


def _live_position(connection: psycopg.Connection[Any], projection: Projection, log: EventLog) -> int:
    row = connection.execute(
        "SELECT position, failure FROM starferry.projection WHERE name = %s", (projection.name,)
    ).fetchone()
    return row[0] if row and not row[1] else log.head()


def _hold_live(connection: psycopg.Connection[Any], projection: Projection) -> tuple[int, bool]:
    """Stop the live model where it stands until the swap is done."""
    row = connection.execute(
        "SELECT position, failure FROM starferry.projection WHERE name = %s FOR UPDATE", (projection.name,)
    ).fetchone()
    return (row[0], bool(row[1])) if row else (0, True)


def _catch_up(
    connection: psycopg.Connection[Any],
    log: EventLog,
    projection: Projection,
    schema: str,
    position: int,
    upto: int,
    report: Report,
) -> int:
    while position < upto:
        batch = log.read(position, BATCH, upto=upto, topics=projection.topics)
        if batch.upto == position:
            break
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(b"SET LOCAL synchronous_commit TO off")
            cursor.execute(f"SET LOCAL search_path TO {schema}".encode())
            if batch.events:
                projection.apply(cursor, batch.events)
            cursor.execute(b"SET LOCAL search_path TO DEFAULT")
        position = batch.upto
        report(position, upto)
    return max(position, upto)


def _tables(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    rows = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY tablename", (schema,)
    ).fetchall()
    return [f"{schema}.{row[0]}" for row in rows]


def _compare(connection: psycopg.Connection[Any], name: str, schema: str) -> dict[str, tuple[int, bool]]:
    tables: dict[str, tuple[int, bool]] = {}
    for qualified in _tables(connection, schema):
        table = qualified.split(".")[1]
        new = connection.execute(checksum_query(schema, table).encode()).fetchone()
        old = connection.execute(checksum_query(live_schema(name), table).encode()).fetchone()
        assert new is not None
        tables[table] = (new[0], new == old)
    return tables


def _swap(connection: psycopg.Connection[Any], projection: Projection, schema: str, position: int) -> None:
    live = live_schema(projection.name)
    connection.execute(f"ALTER SCHEMA {live} RENAME TO old_{projection.name}".encode())
    connection.execute(f"ALTER SCHEMA {schema} RENAME TO {live}".encode())
    connection.execute(
        "UPDATE starferry.projection SET position = %s, failure = '' WHERE name = %s", (position, projection.name)
    )
