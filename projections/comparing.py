"""Does a new read model say the same as the live one, where they should agree?

Both must be looked at as of one event. So the live one is held where it stands, the new one brought there, and a
snapshot taken of the two: that takes as long as the last few events do. What takes long, reading every row of both,
is done on the snapshot while both go on.
"""

from __future__ import annotations

from collections.abc import Callable
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
) -> tuple[Comparison | None, float]:
    """The comparison, and for how many seconds the live model was held. `bring_to` takes the build to a position, and
    says where it is. None when there is no live model, or it is behind the build and so can't be compared with it."""
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
            connection.execute("SELECT 1")  # from here on it sees what it sees now
            held = holding.execute("SELECT extract(epoch FROM clock_timestamp() - %s)::float8", (since,)).fetchone()
            holding.rollback()
            tables = _compare_tables(connection, projection, build.schema, same=version == projection.version)
    return Comparison(position, tables), held[0] if held else 0.0


def _compare_tables(
    connection: psycopg.Connection[Any], projection: Projection, schema: str, *, same: bool
) -> dict[str, tuple[int, bool | None]]:
    live = live_schema(projection.name)
    old, new = _columns(connection, live), _columns(connection, schema)
    left_out = projection.changed if isinstance(projection, Changed) and not same else {}
    tables: dict[str, tuple[int, bool | None]] = {}
    for table in table_names(connection, schema):
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
            found, before = (
                connection.execute(checksum_query(where, table, shared).encode()).fetchone() for where in (schema, live)
            )
            assert found is not None
            tables[table] = (found[0], found == before)
    return tables


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
