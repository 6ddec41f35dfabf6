"""What a killed worker leaves in the database is cleared away: its jobs, and where its uploads stood."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from adapters.jobs.queue import SEARCH_PATH
from api.bootstrap import Core, open_core
from api.settings import Settings
from application.upload_sessions import session_owner
from domain import transfers
from domain.event import Event
from tests.fakes.samples import completed, record, started, transfer_requested


@pytest.fixture
def core(database: str, tmp_path: Path) -> Iterator[Core]:
    with open_core(Settings({"DATABASE_URL": database}, data=tmp_path), database) as core:
        yield core


def run(core: Core, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(core.conninfo, autocommit=True, options=SEARCH_PATH) as connection:
        found = connection.execute(statement.encode())
        return found.fetchall() if found.description else []


def taken(core: Core, worker: str, *, last_sign: str, begun: str) -> None:
    """A job that this worker has in hand: when it last gave a sign of life, and when the job began."""
    core.jobs.nudge_notices([(worker, None)])
    job = f"SELECT max(id) FROM procrastinate_jobs WHERE args ->> 'notice' = '{worker}'"
    run(
        core,
        f"WITH w AS (INSERT INTO procrastinate_workers (last_heartbeat) "
        f"VALUES (now() - interval '{last_sign}') RETURNING id) "
        f"UPDATE procrastinate_jobs SET status = 'doing', worker_id = w.id FROM w WHERE "
        f"procrastinate_jobs.id = ({job})",
    )
    run(
        core,
        f"UPDATE procrastinate_events SET at = now() - interval '{begun}' WHERE job_id = ({job})",
    )


def test_jobs_that_nobody_has_in_hand_are_forgotten_and_no_others(core: Core) -> None:
    taken(core, "alive", last_sign="9 seconds", begun="2 hours")
    taken(core, "its end was not recorded", last_sign="9 seconds", begun="25 hours")
    taken(core, "dead", last_sign="2 minutes", begun="2 minutes")
    taken(core, "dead and pruned", last_sign="2 minutes", begun="2 minutes")
    taken(core, "taken for dead, and alive", last_sign="40 seconds", begun="10 seconds")
    core.jobs.nudge_notices([("waits", None)])
    pruned = "('dead and pruned', 'taken for dead, and alive')"
    jobs = "procrastinate_jobs"
    run(
        core,
        f"DELETE FROM procrastinate_workers WHERE id IN (SELECT worker_id FROM {jobs} "
        f"WHERE args ->> 'notice' IN {pruned})",
    )
    assert core.jobs.forget_abandoned() == 3
    left = {row[0] for row in run(core, f"SELECT args ->> 'notice' FROM {jobs}")}
    assert left == {"alive", "taken for dead, and alive", "waits"}
    assert core.jobs.forget_abandoned() == 0


def test_sessions_of_uploads_that_are_over_are_forgotten(core: Core) -> None:
    ends: list[tuple[Event, ...]] = [(started(), completed()), (started(),)]
    for number, events in enumerate(ends, 1):
        request = transfer_requested(number, "cfg")
        record(core.log, transfers.stream_of(request.id), request, *events)
        core.vault.put(session_owner(request.id), {"session-1": "state"})
    assert core.session_cleaning().run() == 0, "nobody has told the read model yet"
    core.projection_runner().catch_up()
    assert core.session_cleaning().run() == 1
    assert run(core, "SELECT owner FROM vault.data_key") == [(session_owner("v2-cfg"),)]
