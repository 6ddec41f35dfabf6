"""Numbered migrations, each in its own transaction, under one advisory lock, so that any number of starting
processes may call it at once."""

from __future__ import annotations

from importlib.resources import files

import psycopg

LOCK = 7236837100


def migrate(conninfo: str) -> list[str]:
    """Bring the database up to date and return the names of the migrations that were applied now."""
    applied: list[str] = []
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        connection.execute("CREATE SCHEMA IF NOT EXISTS starferry")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS starferry.migration (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
        )
        done = {row[0] for row in connection.execute("SELECT name FROM starferry.migration")}
        for script in sorted(files("adapters.postgres.migrations").iterdir(), key=lambda entry: entry.name):
            name = script.name.removesuffix(".sql")
            if not script.name.endswith(".sql") or name in done:
                continue
            with connection.transaction():
                connection.execute(script.read_text().encode())
                connection.execute("INSERT INTO starferry.migration (name) VALUES (%s)", (name,))
            applied.append(name)
    return applied
