"""A real PostgreSQL for tests, and an empty or a prepared database in it for each test that wants one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.jobs.queue import create_schema
from adapters.postgres.migrate import migrate

_FAST = {"shared_buffers": "128MB", "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def start_test_cluster(directory: Path, *, durable: bool = False) -> EmbeddedPostgres:
    """A running server below `directory`; the caller stops it.

    With `durable` it writes to disk as in production, for tests that kill it; else it may lose everything then.
    """
    server = EmbeddedPostgres(directory, settings=None if durable else _FAST)
    server.start()
    return server


@contextmanager
def fresh_database(conninfo: str, *, template: str = "template1") -> Iterator[str]:
    """The conninfo of a new database beside the one of `conninfo`, dropped at the end whoever still uses it.

    It is empty, or a copy of the database named by `template`, to which nobody may be connected.
    """
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    try:
        yield make_conninfo(conninfo, dbname=name)
    finally:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def template_database(conninfo: str) -> Iterator[str]:
    """The name of a database with all migrations and the job queue, to make others from: about 60 ms each."""
    with fresh_database(conninfo) as prepared:
        migrate(prepared)
        create_schema(prepared)
        yield str(conninfo_to_dict(prepared)["dbname"])
