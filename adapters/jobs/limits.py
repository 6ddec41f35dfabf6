"""Places at destinations, in PostgreSQL: a limited destination's are advisory locks, which end with their process."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import structlog
from psycopg_pool import ConnectionPool

from adapters.event_store.reaching import reaching
from adapters.jobs.lock_session import lock_session
from adapters.jobs.waiting import WaitingTransfers
from application.fair_share import TOGETHER, TOGETHER_BYTES, may_begin, sharers
from application.ports.limits import Berth

logger = structlog.get_logger()

WINDOW = 16
"""Destinations that one look finds: the next one to be served is nearly always among them."""
# A line is never claimed for longer than an hour ahead: else a wrong clock would close it for as long as it was wrong.
_RESERVE = """
INSERT INTO starferry.destination_pace AS pace (storage_config, free_at)
VALUES (%(config)s, clock_timestamp() + %(seconds)s * interval '1 second')
ON CONFLICT (storage_config) DO UPDATE
SET free_at = least(greatest(pace.free_at, clock_timestamp()), clock_timestamp() + interval '1 hour')
              + %(seconds)s * interval '1 second'
RETURNING extract(epoch FROM free_at - clock_timestamp())::float8
"""


class PostgresLimits:
    """Implements Limits for one process of at most `places` running transfers.

    A session holds the locks of all its process's places. When it breaks they are taken again with the next
    connection; until then another process may have one of them, and the destination one transfer too many.
    Destinations are served in turn, in the order of their ids: `_turn` is the last one.
    """

    def __init__(self, conninfo: str, pool: ConnectionPool[Any], places: int) -> None:
        self._conninfo = conninfo
        self._pool = pool
        self._waiting = WaitingTransfers(pool)
        self._turn = ""
        self._places = places
        self._guard = threading.Lock()
        self._running: Counter[str] = Counter()
        self._held: set[Berth] = set()
        self._session: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """Let go of all places."""
        with self._guard:
            if self._session is not None:
                self._session.close()
                self._session = None

    def take(self, storage_config: str, most: int | None) -> Berth | None:
        """See Limits."""
        with self._guard:
            if not may_begin(self._running, storage_config, self._places):
                return None
            berth = Berth(storage_config) if most is None else self._free_slot(storage_config, most)
            if berth is not None:
                self._running[storage_config] += 1
            return berth

    def room(self, storage_config: str) -> bool:
        """See Limits."""
        with self._guard:
            return may_begin(self._running, storage_config, self._places)

    def give_back(self, berth: Berth) -> None:
        """See Limits."""
        with self._guard:
            self._running -= Counter([berth.storage_config])  # leaves none with zero
            if berth.slot is None:
                return
            self._held.discard(berth)
            try:
                self._unlock(berth)
            except psycopg.Error:  # the lock went with its session
                logger.warning("the places of this worker were lost", storage_config=berth.storage_config)
                self._session = None

    def put_off(self, storage_config: str, transfer: str, seconds: float) -> None:
        """See Limits."""
        self._waiting.put_off(storage_config, transfer, seconds)

    def waiting(self) -> Iterator[str]:
        """See Limits. Leaves out those that can't get a place here now."""
        after = turn = self._turn
        while True:
            found = self._waiting.destinations(turn, after, WINDOW)
            with self._guard:
                possible = [config for config in found if may_begin(self._running, config, self._places)]
                possible.sort(key=lambda config: self._running[config])
            yield from possible
            if len(found) < WINDOW or found[-1] == turn:
                return
            after = found[-1]

    def first(self, storage_config: str, *, together: bool) -> Sequence[str]:
        """See Limits."""
        self._turn = storage_config
        return self._waiting.take(storage_config, TOGETHER if together else 1, TOGETHER_BYTES, sharers(self._places))

    def reserve(self, storage_config: str, size: int, bytes_per_second: int) -> float:
        """See Limits. By the database's clock, which all workers share."""
        seconds = size / bytes_per_second
        values = {"config": storage_config, "seconds": seconds}
        with reaching(), self._pool.connection() as connection:
            row = connection.execute(_RESERVE, values).fetchone()
        return max(0.0, float(row[0]) - seconds) if row else 0.0

    def _free_slot(self, storage_config: str, most: int) -> Berth | None:
        with reaching():
            for slot in range(most):
                berth = Berth(storage_config, slot)
                if berth not in self._held and self._lock(berth):  # a session may lock twice what it holds
                    self._held.add(berth)
                    return berth
        return None

    def _lock(self, berth: Berth) -> bool:
        if self._session is None or self._session.closed:
            self._session = lock_session(self._conninfo)
            for held in self._held:
                self._session.execute("SELECT pg_try_advisory_lock(%s)", (lock_key(held),))
        row = self._session.execute("SELECT pg_try_advisory_lock(%s)", (lock_key(berth),)).fetchone()
        return row == (True,)

    def _unlock(self, berth: Berth) -> None:
        if self._session is not None:
            self._session.execute("SELECT pg_advisory_unlock(%s)", (lock_key(berth),))


def lock_key(berth: Berth) -> int:
    """The advisory lock of a place: 63 bits of its name's hash."""
    name = f"place:{berth.slot}:{berth.storage_config}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1
