"""Nudges from any process: of transfers into the table where they wait, of notices as jobs of procrastinate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import procrastinate
import psycopg
from procrastinate.schema import SchemaManager
from procrastinate.types import JSONValue
from psycopg_pool import ConnectionPool

from adapters.jobs.waiting import WaitingTransfers
from adapters.postgres.migrate import LOCK
from application.ports.jobs import NONE_KNOWN
from domain.errors import RetryLater
from domain.transfers import destination_of

SCHEMA = "procrastinate"
NOTICES = "notices"
SEND = "send_notice"
SEARCH_PATH = f"-c search_path={SCHEMA}"
SILENCE = "1 minute"
"""Without a sign of life for so long, six times the interval of these signs, a worker is dead."""
LONGEST = "1 day"
"""A job in hand for longer is one whose end its worker could not record, for the database was away at that moment. Had
it been running all the same, its end would be a line in the log."""
_ABANDONED = f"""
DELETE FROM procrastinate_jobs j WHERE j.status = 'doing'
AND NOT EXISTS (SELECT FROM procrastinate_events e WHERE e.job_id = j.id AND e.at > now() - interval '{SILENCE}')
AND (NOT EXISTS (SELECT FROM procrastinate_workers w
                 WHERE w.id = j.worker_id AND w.last_heartbeat > now() - interval '{SILENCE}')
     OR NOT EXISTS (SELECT FROM procrastinate_events e WHERE e.job_id = j.id AND e.at > now() - interval '{LONGEST}'))
"""


def create_schema(conninfo: str) -> None:
    """Create procrastinate's tables where they are missing."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        if connection.execute("SELECT to_regclass('procrastinate.procrastinate_jobs')").fetchone() != (None,):
            return
        with connection.transaction():
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}".encode())
            connection.execute(f"SET LOCAL search_path TO {SCHEMA}".encode())
            connection.execute(SchemaManager.get_schema().encode())


class PostgresJobs:
    """Implements Jobs and NoticeJobs. Safe to share between threads."""

    def __init__(self, conninfo: str, pool: ConnectionPool[Any]) -> None:
        self._conninfo = conninfo
        self._waiting = WaitingTransfers(pool)
        connector = procrastinate.SyncPsycopgConnector(conninfo=conninfo, kwargs={"options": SEARCH_PATH}, min_size=1)
        self._app = procrastinate.App(connector=connector)
        self._app.open()

    def close(self) -> None:
        """Give the connections back."""
        self._app.close()

    def nudge(self, transfers: Sequence[tuple[str, datetime | None]], sizes: Mapping[str, int] = NONE_KNOWN) -> None:
        """See Jobs.nudge."""
        due: dict[str, tuple[str, datetime | None]] = {}
        for transfer, at in transfers:
            known = due.get(transfer)
            if known is None or (known[1] is not None and (at is None or at < known[1])):
                due[transfer] = (destination_of(transfer), at)
        if due:
            self._waiting.put(due, sizes)

    def nudge_notices(self, notices: Sequence[tuple[str, datetime | None]]) -> None:
        """See NoticeJobs.nudge_notices."""
        by_time: dict[datetime | None, list[str]] = {}
        for name, at in notices:
            by_time.setdefault(at, []).append(name)
        try:
            for at, due in by_time.items():
                jobs: list[dict[str, JSONValue]] = [{"notice": name} for name in due]
                self._app.configure_task(SEND, queue=NOTICES, schedule_at=at).batch_defer(*jobs)
        except procrastinate.exceptions.ConnectorException as error:
            raise RetryLater("The job queue can't be reached at the moment.") from error

    def forget_abandoned(self) -> int:
        """Remove the jobs that nobody has in hand any more, and return how many there were. Nothing is lost: what they
        were about is found by the sweep, and gets new ones. Raises RetryLater."""
        try:
            with psycopg.connect(self._conninfo, autocommit=True, options=SEARCH_PATH) as connection:
                return connection.execute(_ABANDONED.encode()).rowcount
        except psycopg.Error as error:
            raise RetryLater("The job queue can't be reached at the moment.") from error
