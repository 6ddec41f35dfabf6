"""Which database a command works on: the one that is set, or the embedded one in the data folder.

Commands work beside a running `up` or without one; the last to leave stops the embedded server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.jobs.queue import create_schema
from adapters.postgres.migrate import migrate
from api.settings import Settings


@contextmanager
def opened_database(settings: Settings) -> Iterator[str]:
    """The connection string of a running database that is up to date. It holds a password: never show it."""
    if settings.database_url:
        prepare(settings.database_url)
        yield settings.database_url
        return
    settings.data.mkdir(parents=True, exist_ok=True)
    server = EmbeddedPostgres(settings.data / "postgres")
    conninfo = server.start()
    try:
        prepare(conninfo)
        yield conninfo
    finally:
        server.close()


def prepare(conninfo: str) -> None:
    """Bring all schemas that aren't read models up to date."""
    migrate(conninfo)
    create_schema(conninfo)
