"""What a read model is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import psycopg

from domain.event import Recorded

Cursor = psycopg.Cursor[tuple[Any, ...]]


class Projection(Protocol):
    """One read model, in a PostgreSQL schema of its own.

    Its statements name tables without a schema: the runner sets the search path, to the live schema or to one that
    is being built. `apply` must depend on nothing but the events: a rebuild gives identical rows.
    """

    name: str
    """Also the name of the live schema, after `read_`."""
    version: int
    """Raised whenever the tables change, or what `apply` makes of the events: the database says which one is live, and
    `starferry migrate` builds the new one beside it (docs/adr/0035)."""
    tables: str
    """DDL of tables with their primary keys and what `apply` itself needs."""
    indexes: str
    """DDL of the rest, created after a rebuild's bulk load."""
    topics: frozenset[str]
    """The events that it wants to see."""

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """Bring the tables from before these events to after them."""
        ...


@runtime_checkable
class Changed(Protocol):
    """A read model of which some columns mean something else than in the version before: they aren't compared."""

    changed: Mapping[str, frozenset[str]]
    """Columns by table."""


def live_schema(name: str) -> str:
    """The schema that queries read."""
    return f"read_{name}"


def checksum_query(schema: str, table: str, columns: Sequence[str] | None = None) -> str:
    """A statement that gives row count and an order-free checksum of a table's content, or of some of its columns."""
    row = "t" if columns is None else f"ROW({', '.join(f't.{column}' for column in columns)})"
    return f"SELECT count(*), coalesce(sum(hash_record_extended({row}, 0)), 0)::text FROM {schema}.{table} t"
