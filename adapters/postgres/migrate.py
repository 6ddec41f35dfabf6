"""Numbered migrations, each in its own transaction, under one advisory lock, so that any number of starting
processes may call it at once.

A migration whose text begins with `-- additive` only adds what older programs don't look at: they may go on, and start
again, on a database that has it. One without that mark ends their use of the database.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec
import psycopg

from domain.errors import Misconfigured, RetryLater

LOCK = 7236837100
ADDITIVE = "-- additive"


class Migration(msgspec.Struct, frozen=True):
    """One of them."""

    name: str
    script: str

    @property
    def additive(self) -> bool:
        """Whether programs that don't know it may go on."""
        return self.script.startswith(ADDITIVE)


def migrate(conninfo: str) -> list[str]:
    """Bring the database up to date and return the names of the migrations that were applied now.

    Raises Misconfigured for a database that a newer program has changed, RetryLater when it can't be reached.
    """
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
            return _migrate(connection)
    except psycopg.OperationalError as error:
        raise RetryLater("The database can't be reached at the moment.") from error


def missing_migrations(conninfo: str) -> list[Migration]:
    """What `migrate` would apply. Changes nothing. Raises as `migrate`."""
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            return _missing(connection)
    except psycopg.OperationalError as error:
        raise RetryLater("The database can't be reached at the moment.") from error


def _migrate(connection: psycopg.Connection[Any]) -> list[str]:
    connection.execute("CREATE SCHEMA IF NOT EXISTS starferry")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS starferry.migration (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
    )
    if not _knows_additive(connection):
        connection.execute("ALTER TABLE starferry.migration ADD COLUMN additive boolean NOT NULL DEFAULT false")
    missing = _missing(connection)
    for migration in missing:
        with connection.transaction():
            connection.execute(migration.script.encode())
            connection.execute(
                "INSERT INTO starferry.migration (name, additive) VALUES (%s, %s)", (migration.name, migration.additive)
            )
    return [migration.name for migration in missing]


def _missing(connection: psycopg.Connection[Any]) -> list[Migration]:
    scripts = {
        entry.name.removesuffix(".sql"): entry.read_text()
        for entry in files("adapters.postgres.migrations").iterdir()
        if entry.name.endswith(".sql")
    }
    done = _done(connection)
    if unknown := {name for name, additive in done.items() if not additive} - scripts.keys():
        raise Misconfigured(f"A newer program has changed this database ({max(unknown)}): run that program.")
    return [Migration(name, scripts[name]) for name in sorted(scripts.keys() - done.keys())]


def _done(connection: psycopg.Connection[Any]) -> dict[str, bool]:
    """The names of applied migrations, and whether they are additive."""
    if connection.execute("SELECT to_regclass('starferry.migration')").fetchone() == (None,):
        return {}
    additive = "additive" if _knows_additive(connection) else "false"
    return dict(connection.execute(f"SELECT name, {additive} FROM starferry.migration".encode()).fetchall())


def _knows_additive(connection: psycopg.Connection[Any]) -> bool:
    statement = (
        "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('starferry.migration') AND attname = 'additive'"
    )
    return connection.execute(statement).fetchone() is not None
