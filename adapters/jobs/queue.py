"""The job queue: its schema, and nudges from any process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import procrastinate
import psycopg
from procrastinate.schema import SchemaManager
from procrastinate.types import JSONValue

from adapters.postgres.migrate import LOCK
from domain.errors import RetryLater

SCHEMA = "procrastinate"
QUEUE = "transfers"
CARRY = "carry_transfer"
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


class ProcrastinateJobs:
    """Implements Jobs and NoticeJobs. Safe to share between threads."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        connector = procrastinate.SyncPsycopgConnector(conninfo=conninfo, kwargs={"options": SEARCH_PATH}, min_size=1)
        self._app = procrastinate.App(connector=connector)
        self._app.open()

    def close(self) -> None:
        """Give the connections back."""
        self._app.close()

    def nudge(self, transfers: Sequence[tuple[str, datetime | None]]) -> None:
        """See Jobs.nudge."""
        self._defer(CARRY, QUEUE, "transfer", transfers)

    def nudge_notices(self, notices: Sequence[tuple[str, datetime | None]]) -> None:
        """See NoticeJobs.nudge_notices."""
        self._defer(SEND, NOTICES, "notice", notices)

    def forget_abandoned(self) -> int:
        """Remove the jobs that nobody has in hand any more, and return how many there were. Nothing is lost: what they
        were about is found by the sweep, and gets new ones. Raises RetryLater."""
        try:
            with psycopg.connect(self._conninfo, autocommit=True, options=SEARCH_PATH) as connection:
                return connection.execute(_ABANDONED.encode()).rowcount
        except psycopg.Error as error:
            raise RetryLater("The job queue can't be reached at the moment.") from error

    def _defer(self, task: str, queue: str, argument: str, wanted: Sequence[tuple[str, datetime | None]]) -> None:
        by_time: dict[datetime | None, list[str]] = {}
        for name, at in wanted:
            by_time.setdefault(at, []).append(name)
        try:
            for at, due in by_time.items():
                deferrer = self._app.configure_task(task, queue=queue, schedule_at=at)
                jobs: list[dict[str, JSONValue]] = [{argument: name} for name in due]
                deferrer.batch_defer(*jobs)
        except procrastinate.exceptions.ConnectorException as error:
            raise RetryLater("The job queue can't be reached at the moment.") from error
