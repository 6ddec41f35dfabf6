"""A real PostgreSQL for tests, and an empty database in it for each test that wants one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from adapters.embedded_postgres import EmbeddedPostgres

_FAST = {"shared_buffers": "128MB", "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def start_test_cluster(directory: Path, *, durable: bool = False) -> EmbeddedPostgres:
    """A running server below `directory`; the caller stops it.

    With `durable` it writes to disk as in production, for tests that kill it; else it may lose everything then.
    """
    server = EmbeddedPostgres(directory, settings=None if durable else _FAST)
    server.start()
    return server


@contextmanager
def fresh_database(conninfo: str) -> Iterator[str]:
    """The conninfo of a new, empty database beside the one of `conninfo`, dropped at the end whoever still uses it."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield make_conninfo(conninfo, dbname=name)
    finally:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
