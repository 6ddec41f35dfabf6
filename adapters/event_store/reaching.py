"""What an unreachable database means to a caller: try again later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from eventsourcing import persistence

from domain.errors import RetryLater

PASSING = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,  # what a server says that has just become a standby, or that ended an idle transaction
    persistence.OperationalError,
    persistence.InterfaceError,
    persistence.InternalError,
)


@contextmanager
def reaching() -> Iterator[None]:
    """Turn the errors of a database that is lost, overloaded or failing over into RetryLater."""
    try:
        yield
    except PASSING as error:
        raise RetryLater("The database can't be reached at the moment.") from error
