"""Does a new read model say the same as the live one, where they should agree?

Both must be looked at as of one event. So the live one is held where it stands, the new one brought there, and a
snapshot taken of the two: that takes as long as the last few events do. What takes long, reading every row of both,
is done on the snapshot while both go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psycopg

from projections.builds import Build, table_names
from projections.projection import Changed, Projection, checksum_query, live_schema

Columns = dict[str, dict[str, str]]
"""For each table its columns, each with its type."""


class Comparison(msgspec.Struct, frozen=True):
    """What was found at a position. `tables` gives for each table its rows and whether they equal the live ones; None
    where the live one has nothing to compare with."""

    position: int
    tables: dict[str, tuple[int, bool | None]]

    @property
    def identical(self) -> bool:
        """Whether nothing that was compared differs."""
        return all(equal is not False for _, equal in self.tables.values())


def compare(
    conninfo: str,
    connection: psycopg.Connection[Any],
    projection: Projection,
    build: Build,
    bring_to: Callable[[int], int],
    *,
    gently: bool = False,
) -> tuple[Comparison | None, float]:
    """The comparison, and for how many seconds the live model was held. `bring_to` takes the build to a position, and
    says where it is. `gently` reads one after the other, for somebody else reads too. None when there is no live model,
    or it is behind the build and so can't be compared with it."""
    with psycopg.connect(conninfo) as holding:
        row = holding.execute(
            "SELECT position, version, clock_timestamp() FROM starferry.projection WHERE name = %s FOR UPDATE",
            (projection.name,),
        ).fetchone()
        if row is None:
            return None, 0.0
        position, version, since = row
        if bring_to(position) != position:
            return None, 0.0
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            snapshot = connection.execute("SELECT pg_export_snapshot()").fetchone()
            assert snapshot is not None
            held = holding.execute("SELECT extract(epoch FROM clock_timestamp() - %s)::float8", (since,)).fetchone()
            holding.rollback()
            holding.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            holding.execute(f"SET TRANSACTION SNAPSHOT '{snapshot[0]}'".encode())
            same = version == projection.version
            tables = _compare_tables(holding, connection, projection, build.schema, same=same, gently=gently)
    return Comparison(position, tables), held[0] if held else 0.0


def _compare_tables(
    holding: psycopg.Connection[Any],
    connection: psycopg.Connection[Any],
    projection: Projection,
    schema: str,
    *,
    same: bool,
    gently: bool,
) -> dict[str, tuple[int, bool | None]]:
    """By two connections with one snapshot, each of which reads one of the two models."""
    live = live_schema(projection.name)
    old, new = _columns(connection, live), _columns(connection, schema)
    left_out = projection.changed if isinstance(projection, Changed) and not same else {}
    tables: dict[str, tuple[int, bool | None]] = {}
    comparable: dict[str, list[str]] = {}
    names = table_names(connection, schema)
    for table in names:
        shared = sorted(
            column
            for column, kind in new[table].items()
            if old.get(table, {}).get(column) == kind and column not in left_out.get(table, ())
        )
        if same and old.get(table) != new[table]:  # one version with two forms: somebody forgot to raise it
            tables[table] = (_count(connection, schema, table), False)
        elif not shared:
            tables[table] = (_count(connection, schema, table), None)
        else:
            comparable[table] = shared
    with ThreadPoolExecutor(1) as beside:
        before = beside.submit(_checksums, holding, live, comparable)
        if gently:
            before.result()
        found = _checksums(connection, schema, comparable)
    tables.update({table: (found[table][0], found[table] == before.result()[table]) for table in comparable})
    return {table: tables[table] for table in names}


def _checksums(
    connection: psycopg.Connection[Any], schema: str, columns: Mapping[str, Sequence[str]]
) -> dict[str, tuple[int, str]]:
    """Of each table the number of rows and the checksum of these columns."""
    found: dict[str, tuple[int, str]] = {}
    connection.execute("SET LOCAL max_parallel_workers_per_gather TO 0")  # readers need a processor too
    for table, some in columns.items():
        row = connection.execute(checksum_query(schema, table, some).encode()).fetchone()
        assert row is not None
        found[table] = row
    return found


def _count(connection: psycopg.Connection[Any], schema: str, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {schema}.{table}".encode()).fetchone()
    return row[0] if row else 0


def _columns(connection: psycopg.Connection[Any], schema: str) -> Columns:
    found: Columns = {}
    rows = connection.execute(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
        "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped",
        (schema,),
    )
    for table, column, kind in rows.fetchall():
        found.setdefault(table, {})[column] = kind
    return found
