"""A worker is alive as long as it holds its advisory lock: PostgreSQL lets go of it the moment the session ends."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Sequence

import psycopg

from adapters.jobs.lock_session import lock_session

NAMESPACE = 0x5F57  # the first of the two keys of all worker locks


class WorkerIdentity:
    """This worker's name, and the session that proves it alive."""

    def __init__(self, conninfo: str) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self._conninfo = conninfo
        self._stopping = threading.Event()
        self._connection = self._connect()
        self._thread = threading.Thread(target=self._keep, name="worker-lock", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Say goodbye: what this worker holds may be taken over at once."""
        self._stopping.set()
        self._connection.close()

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        connection = lock_session(self._conninfo)
        connection.execute("SELECT pg_advisory_lock(%s, %s)", (NAMESPACE, lock_key(self.name)))
        return connection

    def _keep(self) -> None:
        while not self._stopping.wait(5.0):
            try:
                self._connection.execute("SELECT 1")
            except psycopg.Error:
                if self._stopping.is_set():
                    return
                try:
                    self._connection = self._connect()
                except psycopg.Error:
                    continue  # the database is away; so are all who could take over


class PostgresWorkers:
    """Implements Workers."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def gone(self, workers: Sequence[str]) -> frozenset[str]:
        """See Workers.gone."""
        if not workers:
            return frozenset()
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            held = {
                row[0]
                for row in connection.execute(
                    "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted "
                    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                    (NAMESPACE,),
                )
            }
        return frozenset(worker for worker in workers if lock_key(worker) & 0xFFFFFFFF not in held)


def lock_key(worker: str) -> int:
    """The second key of a worker's lock: 31 bits of its name's hash."""
    return int.from_bytes(hashlib.sha256(worker.encode()).digest()[:4], "big") >> 1
