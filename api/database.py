"""Which database a command works on: the one that is set, or the embedded one in the data folder.

Commands work beside a running `up` or without one; the last to leave stops the embedded server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.jobs.queue import create_schema
from adapters.postgres.migrate import migrate
from api.settings import Settings

logger = structlog.get_logger()


@contextmanager
def opened_database(settings: Settings) -> Iterator[str]:
    """The connection string of a running database that is up to date. It holds a password: never show it."""
    with kept_database(settings) as (conninfo, _):
        yield conninfo


@contextmanager
def kept_database(settings: Settings) -> Iterator[tuple[str, Callable[[], None]]]:
    """The same, and a function to call now and then: it starts the embedded server again if that has died."""
    with running_database(settings) as (conninfo, keep):
        prepare(conninfo)
        yield conninfo, keep


@contextmanager
def running_database(settings: Settings) -> Iterator[tuple[str, Callable[[], None]]]:
    """The same, of a database as it is: perhaps an older or a newer program's."""
    if settings.database_url:
        yield settings.database_url, lambda: None
        return
    settings.data.mkdir(parents=True, exist_ok=True)
    server = EmbeddedPostgres(settings.data / "postgres")
    conninfo = server.start()

    def keep() -> None:
        if server.running() is None:
            logger.error("the embedded database has ended; starting it again")
            server.start()

    try:
        yield conninfo, keep
    finally:
        server.close()


def prepare(conninfo: str) -> None:
    """Bring all schemas that aren't read models up to date."""
    migrate(conninfo)
    create_schema(conninfo)
