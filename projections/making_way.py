"""Who builds a read model makes way for those who read.

At full speed a build takes all processors, and an answer waits its turn at each change between client, API and
database: at a million frames the slowest hundredth took three times as long as otherwise. So whoever only prepares
runs when nobody else wants a processor, and while somebody reads, less is done at a time.
"""

from __future__ import annotations

import os
import time
from collections import deque
from datetime import datetime
from typing import Any

import psycopg

SPAN_SECONDS = 1.0
"""How long a look counts."""
FEW = 3
"""Looks within the span that found somebody. Programs that only watch the read models ask less often."""

_SOMEBODY = (
    "SELECT count(*) > 0, clock_timestamp() FROM pg_stat_activity WHERE datname = current_database() "
    "AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND query_start > %s AND query LIKE '%%read\\_%%'"
)


def last_in_line() -> None:
    """From now on this thread runs only when nobody else wants the processor. That can't be taken back: a process may
    raise itself no more than it could before."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):  # not Linux, or not allowed
        os.nice(19)


class Readers:
    """Whether somebody asks read models at the moment, as PostgreSQL's sessions tell. Belongs to one thread."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """`connection` commits by itself, and is used by nobody else during a look."""
        self._connection = connection
        self._since: datetime | None = None
        self._seen: deque[float] = deque()

    def look(self) -> bool:
        """Whether somebody does: what began since the last look counts, and the looks of the last second."""
        row = self._connection.execute(_SOMEBODY, (self._since or datetime.max,)).fetchone()
        assert row is not None
        found, self._since = row
        now = time.monotonic()
        if found:
            self._seen.append(now)
        while self._seen and self._seen[0] < now - SPAN_SECONDS:
            self._seen.popleft()
        return len(self._seen) >= FEW
