"""Builds read models as they were at a position, in schemas beside the live ones, for people to look at with SQL.

The live models aren't touched. What was stopped goes on where it was: each batch and its place are one transaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from application.ports.event_log import EventLog
from domain.errors import Conflict, InvalidInput, NotFound
from projections.builds import lock
from projections.projection import Projection
from projections.runner import build_schema

BATCH = 2000
REPLAY_LOCK = 7236837110
NAME = re.compile(r"[a-z][a-z0-9]{0,19}")
"""Without an underscore: what follows it in a schema's name is the read model."""

Report = Callable[[str, int, int], None]
"""Called with the read model, the position reached and the position to reach."""


class Replayed(msgspec.Struct, frozen=True):
    """One read model of a replay: as of `upto`, built as far as `position`; `done` with its indexes.
    `size` is in bytes."""

    name: str
    model: str
    upto: int
    position: int
    done: bool
    begun: datetime
    size: int

    @property
    def schema(self) -> str:
        """Where its tables are."""
        return schema_of(self.name, self.model)


def schema_of(name: str, model: str) -> str:
    """The schema of one read model of a replay."""
    return f"replay_{name}_{model}"


def replay(
    conninfo: str,
    log: EventLog,
    projections: Sequence[Projection],
    name: str,
    upto: int,
    report: Report,
    *,
    replace: bool = False,
) -> list[Replayed]:
    """Build these read models as of a position.

    A replay of this name that was stopped on its way to the same position goes on; one that is complete gets what is
    new among the models. One of another position is in the way (Conflict), unless it may be replaced.
    """
    _check(name)
    with _alone(conninfo, name) as connection:
        known = {one.model: one for one in _replays(connection, name)}
        chosen = {projection.name for projection in projections}
        if replace:
            _forget(connection, list(known.values()))
            known = {}
        complete = all(model in known and known[model].done for model in chosen)
        if known and (complete or any(one.upto != upto for one in known.values())):
            there = next(iter(known.values()))
            raise Conflict(
                f"There is a replay {name} as of position {there.upto} already; give another name, or --replace."
            )
        for projection in projections:
            if projection.name not in known:
                _begin(connection, projection, name, upto)
            elif known[projection.name].done:
                continue
            _fill(connection, log, projection, name, upto, report)
        return [one for one in _replays(connection, name) if one.model in chosen]


def replays(connection: psycopg.Connection[Any]) -> list[Replayed]:
    """All that there are."""
    return _replays(connection, None)


def forget_replay(conninfo: str, name: str, *, dry_run: bool = False) -> list[Replayed]:
    """Drop a replay, and tell what it was; with `dry_run` only tell. Raises NotFound."""
    _check(name)
    with _alone(conninfo, name) as connection:
        found = _replays(connection, name)
        if not found:
            raise NotFound(f"There is no replay {name}.")
        if not dry_run:
            _forget(connection, found)
        return found


def _check(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InvalidInput(
            "A replay's name has up to 20 small letters and digits, and begins with a letter.", field="into"
        )


@contextmanager
def _alone(conninfo: str, name: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that is the only one to work on this replay."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        taken = f"Somebody is at work on the replay {name}; wait for the end of that."
        lock(connection, REPLAY_LOCK & 0x7FFFFFFF, name, taken)
        yield connection


def _replays(connection: psycopg.Connection[Any], name: str | None) -> list[Replayed]:
    rows = connection.execute(
        "SELECT r.name, r.model, r.upto, r.position, r.done, r.begun, coalesce((SELECT "
        "sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'replay_' || r.name || '_' || r.model AND c.relkind = 'r'), 0)::bigint "
        "FROM starferry.replay r WHERE %(name)s::text IS NULL OR r.name = %(name)s ORDER BY r.name, r.model",
        {"name": name},
    ).fetchall()
    return [Replayed(*row) for row in rows]


def _forget(connection: psycopg.Connection[Any], found: Sequence[Replayed]) -> None:
    for one in found:
        with connection.transaction():
            connection.execute(f"DROP SCHEMA IF EXISTS {one.schema} CASCADE".encode())
            connection.execute("DELETE FROM starferry.replay WHERE name = %s AND model = %s", (one.name, one.model))


def _begin(connection: psycopg.Connection[Any], projection: Projection, name: str, upto: int) -> None:
    with connection.transaction():
        build_schema(connection, projection, schema_of(name, projection.name), with_indexes=False)
        connection.execute(
            "INSERT INTO starferry.replay (name, model, upto) VALUES (%s, %s, %s)", (name, projection.name, upto)
        )


def _fill(
    connection: psycopg.Connection[Any], log: EventLog, projection: Projection, name: str, upto: int, report: Report
) -> None:
    schema, model = schema_of(name, projection.name), projection.name
    place = ("SELECT position FROM starferry.replay WHERE name = %s AND model = %s", (name, model))
    position: int = connection.execute(*place).fetchone()[0]  # type: ignore[index]
    while position < upto:
        batch = log.read(position, BATCH, upto=upto, topics=projection.topics)
        position = upto if batch.upto == position else batch.upto
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO off")
            if batch.events:
                cursor.execute(f"SET LOCAL search_path TO {schema}".encode())
                projection.apply(cursor, batch.events)
                cursor.execute("SET LOCAL search_path TO DEFAULT")
            cursor.execute(
                "UPDATE starferry.replay SET position = %s WHERE name = %s AND model = %s", (position, name, model)
            )
        report(model, position, upto)
    with connection.transaction():
        connection.execute(f"SET LOCAL search_path TO {schema}".encode())
        connection.execute(projection.indexes.encode())
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
        connection.execute(f"ANALYZE {', '.join(table for (table,) in tables)}".encode())
        connection.execute("UPDATE starferry.replay SET done = true WHERE name = %s AND model = %s", (name, model))
        connection.execute("SET LOCAL search_path TO DEFAULT")
    report(model, upto, upto)
