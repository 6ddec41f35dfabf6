"""Connections to Google Cloud Storage between one transfer and the next.

Reading an account's key costs 27 ms of CPU and fetching a token a round trip: too much for each of many small files
(benchmark: delivery of 200 x 2 MB).
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from adapters.destinations.gcs_client import Connection

MOST_IDLE = 16
LIFETIME_SECONDS = 600.0
"""How long a token may be kept in memory after its last use."""


class IdleConnections:
    """Lends connections, each to one user at a time. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[str, float, Connection]] = []
        self._lent: dict[int, str] = {}

    def take(self, info: Mapping[str, Any], base: str | None) -> Connection:
        """An idle connection with exactly this key, or a new one. Raises NeedsAuthorization for a bad key."""
        name = hashlib.sha256(json.dumps([dict(info), base], sort_keys=True).encode()).hexdigest()
        with self._lock:
            found = next((entry for entry in reversed(self._idle) if entry[0] == name), None)
            if found:
                self._idle.remove(found)
        connection = found[2] if found else Connection(info, base)
        with self._lock:
            self._lent[id(connection)] = name
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep it for the next; the longest unused ones are closed."""
        now = time.monotonic()
        with self._lock:
            self._idle.append((self._lent.pop(id(connection)), now, connection))
            kept = [entry for entry in self._idle[-MOST_IDLE:] if entry[1] > now - LIFETIME_SECONDS]
            dropped = [entry for entry in self._idle if entry not in kept]
            self._idle = kept
        for _, _, old in dropped:
            old.close()
