"""Work that one process does and others stand by for: they take over when it ends, or when the database loses it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog

from adapters.jobs.lock_session import lock_session
from api.cli.stopping import Stop
from domain.errors import RetryLater

logger = structlog.get_logger()

AGAIN_SECONDS = 1.0


def lead(
    conninfo: str,
    lock: int,
    work: Callable[[Callable[[], None]], None],
    stopped: Stop,
    look_seconds: float = 0.0,
) -> None:
    """Do the work while holding an advisory lock; return when it has returned, or at the stop.

    It is given what raises once the session is gone, and the lock with it: another process may have it by then. The
    lock is asked for again, and the work begun again. The session is looked at each time, or once in `look_seconds`,
    for work that does no harm when two do it.
    """
    while not stopped.is_set():
        try:
            with lock_session(conninfo) as connection:
                while not stopped.is_set():
                    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (lock,)).fetchone()
                    if row == (True,):
                        work(_Held(connection, look_seconds))
                        return
                    stopped.wait(AGAIN_SECONDS)
        except (psycopg.OperationalError, RetryLater) as error:
            logger.warning("a lock was lost; asking for it again", lock=lock, reason=str(error).strip())
            stopped.wait(AGAIN_SECONDS)


class _Held:
    """Raises psycopg's OperationalError once the session is gone."""

    def __init__(self, connection: psycopg.Connection[Any], seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._looked = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now >= self._looked + self._seconds:
            self._looked = now
            self._connection.execute(b"SELECT 1")
