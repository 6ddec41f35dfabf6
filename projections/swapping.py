"""Puts read models into service and out of it, each time in one transaction that readers don't notice."""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg

from application.ports.event_log import EventLog
from domain.errors import Conflict, NotFound
from projections.builds import Build, Kept, building, forget_build, forget_kept, kept, kept_name
from projections.catching_up import BATCH, Beside, Report, catch_up
from projections.projection import Projection, live_schema
from projections.runner import CHANNEL

ROUNDS = 20
"""Tries to come close to a live model that goes on; a build is faster than that unless something is very wrong."""


class Swapped(msgspec.Struct, frozen=True):
    """`held` is for how many seconds live projecting stood still."""

    name: str
    version: int
    position: int
    held: float


class Live(msgspec.Struct, frozen=True):
    """How the live read model stands."""

    position: int
    version: int
    failure: str


def live_of(connection: psycopg.Connection[Any], name: str, *, hold: bool = False) -> Live | None:
    """The live read model; with `hold` it stays where it is until the transaction ends."""
    row = connection.execute(
        f"SELECT position, version, failure FROM starferry.projection WHERE name = %s{' FOR UPDATE' * hold}".encode(),
        (name,),
    ).fetchone()
    return Live(*row) if row else None


def swap_in(
    connection: psycopg.Connection[Any], log: EventLog, projection: Projection, build: Build, report: Report
) -> Swapped:
    """Catch up and put a build in the place of the live model, which is kept. The caller holds `building`."""
    build = _come_close(connection, log, projection, build, report)
    with connection.transaction():
        forget_kept(connection, projection.name)
    with connection.transaction():
        live = live_of(connection, projection.name, hold=True)
        since = _clock(connection)
        build = catch_up(connection, log, projection, build, log.head(), report)
        if live is not None:
            _keep(connection, projection.name, live)
        connection.execute(f"ALTER SCHEMA {build.schema} RENAME TO {live_schema(build.name)}".encode())
        connection.execute("DELETE FROM starferry.projection_build WHERE name = %s", (build.name,))
        _serve(connection, build)
        held = _clock(connection) - since
    return Swapped(build.name, build.version, build.position, held)


def roll_back(conninfo: str, log: EventLog, projection: Projection, report: Report) -> Swapped:
    """Bring what was live before up to the present, and swap it with what is live.

    Raises NotFound when nothing is kept, Conflict when this program doesn't make that version.
    """
    name = projection.name
    with building(conninfo, name) as connection:
        before = next((one for one in kept(connection) if one.name == name), None)
        if before is None:
            raise NotFound(f"Of {name} there is no earlier read model to go back to.")
        if before.version != projection.version:
            raise Conflict(
                f"The earlier {name} is version {before.version}, which this program can't keep up to date (it makes "
                f"version {projection.version}): run this command with the program that made it."
            )
        before = _come_close(connection, log, projection, before, report)
        with connection.transaction():
            live = live_of(connection, name, hold=True)
            since = _clock(connection)
            before = catch_up(connection, log, projection, before, log.head(), report)
            connection.execute(f"ALTER SCHEMA {before.schema} RENAME TO swap_{name}".encode())
            connection.execute("DELETE FROM starferry.projection_kept WHERE name = %s", (name,))
            if live is not None:
                _keep(connection, name, live)
            connection.execute(f"ALTER SCHEMA swap_{name} RENAME TO {live_schema(name)}".encode())
            _serve(connection, before)
            held = _clock(connection) - since
    return Swapped(name, before.version, before.position, held)


def forget(conninfo: str, name: str) -> None:
    """Drop what is kept of a read model, and what was begun of a build."""
    with building(conninfo, name) as connection, connection.transaction():
        forget_kept(connection, name)
        forget_build(connection, name)


def _come_close(
    connection: psycopg.Connection[Any], log: EventLog, projection: Projection, beside: Beside, report: Report
) -> Beside:
    """Catch up while the live model goes on, so that little is left for when it is held."""
    for _ in range(ROUNDS):
        begun = beside.position
        beside = catch_up(connection, log, projection, beside, log.head(), report)
        if beside.position - begun < BATCH:
            break
    return beside


def _keep(connection: psycopg.Connection[Any], name: str, live: Live) -> None:
    connection.execute(f"ALTER SCHEMA {live_schema(name)} RENAME TO {kept_name(name)}".encode())
    connection.execute(
        "INSERT INTO starferry.projection_kept (name, version, position) VALUES (%s, %s, %s)",
        (name, live.version, live.position),
    )


def _serve(connection: psycopg.Connection[Any], beside: Build | Kept) -> None:
    connection.execute(
        "INSERT INTO starferry.projection (name, version, position) VALUES (%s, %s, %s) "
        "ON CONFLICT (name) DO UPDATE SET version = excluded.version, position = excluded.position, failure = ''",
        (beside.name, beside.version, beside.position),
    )
    connection.execute(f"NOTIFY {CHANNEL}, '{beside.position}'".encode())


def _clock(connection: psycopg.Connection[Any]) -> float:
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    return float(row[0]) if row else 0.0
