"""What a read model is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

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
    tables: str
    """DDL of tables with their primary keys and what `apply` itself needs."""
    indexes: str
    """DDL of the rest, created after a rebuild's bulk load."""
    topics: frozenset[str]
    """The events that it wants to see."""

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """Bring the tables from before these events to after them."""
        ...


def live_schema(name: str) -> str:
    """The schema that queries read."""
    return f"read_{name}"


def checksum_query(schema: str, table: str) -> str:
    """A statement that gives row count and an order-free checksum of a table's content."""
    return (
        f"SELECT count(*), coalesce(sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint::numeric), 0)::text "
        f"FROM {schema}.{table} t"
    )
