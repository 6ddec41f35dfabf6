"""Progress of running transfers, from workers to those who listen: by NOTIFY, for it is worth no event and no table."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg
import structlog
from psycopg_pool import ConnectionPool

from application.transfer_news import Sent

logger = structlog.get_logger()

CHANNEL = "starferry_progress"
EVERY_SECONDS = 1.0
"""Between two notices of one transfer: a person looks at a bar, and a fast disk takes hundreds of pieces a second."""
REMEMBERED = 1000


class ProgressNotices:
    """Implements TellProgress. Safe to share between threads."""

    def __init__(self, pool: ConnectionPool[Any], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}

    def __call__(self, sent: Sent) -> None:
        """See TellProgress."""
        if not self._is_due(sent):
            return
        try:
            with self._pool.connection(timeout=1.0) as connection:
                connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, msgspec.json.encode(sent).decode()))
        except psycopg.Error as error:  # a transfer doesn't fail because nobody hears how far it is
            logger.debug("progress was not told", error=type(error).__name__)

    def _is_due(self, sent: Sent) -> bool:
        now = self._monotonic()
        with self._lock:
            if sent.bytes_sent >= sent.bytes_total:  # its completion is told by its event
                self._last.pop(sent.transfer, None)
                return False
            if now - self._last.get(sent.transfer, -EVERY_SECONDS) < EVERY_SECONDS:
                return False
            if len(self._last) >= REMEMBERED:
                self._last.clear()
            self._last[sent.transfer] = now
            return True
