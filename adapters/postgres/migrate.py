"""Numbered migrations, each in its own transaction, under one advisory lock, so that any number of starting
processes may call it at once."""

from __future__ import annotations

from importlib.resources import files

import psycopg

from domain.errors import Misconfigured, RetryLater

LOCK = 7236837100


def migrate(conninfo: str) -> list[str]:
    """Bring the database up to date and return the names of the migrations that were applied now.

    Raises Misconfigured for a database that a newer program has changed, RetryLater when it can't be reached.
    """
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            return _migrate(connection)
    except psycopg.OperationalError as error:
        raise RetryLater("The database can't be reached at the moment.") from error


def _migrate(connection: psycopg.Connection[tuple[str]]) -> list[str]:
    connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    connection.execute("CREATE SCHEMA IF NOT EXISTS starferry")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS starferry.migration (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
    )
    scripts = {
        entry.name.removesuffix(".sql"): entry.read_text()
        for entry in files("adapters.postgres.migrations").iterdir()
        if entry.name.endswith(".sql")
    }
    done = {name for (name,) in connection.execute("SELECT name FROM starferry.migration")}
    if unknown := done - scripts.keys():
        raise Misconfigured(f"A newer program has changed this database ({max(unknown)}): run that program.")
    missing = sorted(scripts.keys() - done)
    for name in missing:
        with connection.transaction():
            connection.execute(scripts[name].encode())
            connection.execute("INSERT INTO starferry.migration (name) VALUES (%s)", (name,))
    return missing
