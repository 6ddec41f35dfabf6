"""Work that one process does at a time, whichever comes first: it holds an advisory lock of the database."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from adapters.postgres.advisory_lock import trying
from domain.errors import RetryLater

RETENTION_LOCK = 7236837106


class OneAtATime:
    """Runs work under a lock of its own."""

    def __init__(self, conninfo: str, lock: int) -> None:
        self._conninfo = conninfo
        self._lock = lock

    def run(self, work: Callable[[], int]) -> int:
        """What `work` returns; 0, and it isn't done, while another process is at it. Raises RetryLater."""
        try:
            with (
                psycopg.connect(self._conninfo, autocommit=True) as connection,
                trying(connection, self._lock) as held,
            ):
                return work() if held else 0
        except psycopg.OperationalError as error:
            raise RetryLater("The database can't be reached at the moment.") from error
