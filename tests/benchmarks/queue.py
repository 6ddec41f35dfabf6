"""Picking the next transfer with 100 000 queued, beside an empty queue: from the job queue, and among those that wait.

In a database of its own, so that nothing else works on the queue. What is timed is what a worker does before it looks
at a transfer: fetching a job, and finding the longest waiting transfer of the destination with the fewest running.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import procrastinate
import psycopg
from psycopg_pool import ConnectionPool

from adapters.jobs.limits import PostgresLimits
from adapters.jobs.queue import QUEUE, SEARCH_PATH, ProcrastinateJobs, create_schema
from adapters.postgres.migrate import migrate
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session
from tests.postgres import fresh_database

QUEUED, BATCH, PICKS, DESTINATIONS = 100_000, 1000, 300, 50
MOST = 1.5
"""A pick among many may take half as long again: its index is two levels deeper."""


def run(session: Session) -> Iterator[Row]:
    """See the module."""
    with fresh_database(session.installation.conninfo) as conninfo:
        migrate(conninfo)
        create_schema(conninfo)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            yield _compared("fetching the next job", conninfo, connection, _fill_jobs, _pick_jobs)
            yield _compared("finding who waited longest", conninfo, connection, _fill_places, _pick_places)


def _compared(
    name: str,
    conninfo: str,
    connection: psycopg.Connection[Any],
    fill: Callable[[str, int], None],
    pick: Callable[[str], list[float]],
) -> Row:
    """Milliseconds, the median of picks; before, between and after, so that a busy moment shows."""
    fill(conninfo, PICKS)
    few = pick(conninfo)
    fill(conninfo, QUEUED)
    connection.execute("VACUUM ANALYZE")
    many = pick(conninfo)
    _empty(connection)
    fill(conninfo, PICKS)
    few += pick(conninfo)
    _empty(connection)
    ours, partner = statistics.median(many) * 1e3, statistics.median(few) * 1e3
    return Row(
        name=f"{name}, {QUEUED:,} queued",
        figure=ours,
        unit="ms",
        partner="empty queue",
        partner_figure=partner,
        goal=f"<= {MOST} of it",
        reached=ours <= MOST * partner,
        note=f"p99 {_p99(many):.2f} ms, empty {_p99(few):.2f} ms",
    )


def _p99(spans: list[float]) -> float:
    """In milliseconds."""
    return sorted(spans)[int(0.99 * len(spans))] * 1e3


def _fill_jobs(conninfo: str, count: int) -> None:
    jobs = ProcrastinateJobs(conninfo)
    for first in range(0, count, BATCH):
        jobs.nudge([(f"v{number}-cfg", None) for number in range(first, min(first + BATCH, count))])
    jobs.close()


def _pick_jobs(conninfo: str) -> list[float]:
    return asyncio.run(_fetch_jobs(conninfo))


async def _fetch_jobs(conninfo: str) -> list[float]:
    connector = procrastinate.PsycopgConnector(conninfo=conninfo, kwargs={"options": SEARCH_PATH}, min_size=1)
    app = procrastinate.App(connector=connector)
    async with app.open_async():
        worker = await app.job_manager.register_worker()
        spans = []
        for _ in range(PICKS):
            begun = time.perf_counter()
            job = await app.job_manager.fetch_job(queues=[QUEUE], worker_id=worker)
            spans.append(time.perf_counter() - begun)
            assert job is not None
            await app.job_manager.finish_job(job, procrastinate.jobs.Status.SUCCEEDED, delete_job=True)
        return spans


def _fill_places(conninfo: str, count: int) -> None:
    with psycopg.connect(conninfo) as connection, connection.cursor() as cursor:
        statement = "COPY starferry.waiting_transfer (transfer, storage_config) FROM STDIN"
        with cursor.copy(statement) as copy:
            for number in range(count):
                copy.write_row((f"v{number}-cfg", f"cfg-{number % DESTINATIONS}"))


def _pick_places(conninfo: str) -> list[float]:
    spans = []
    with ConnectionPool(conninfo, min_size=1, kwargs={"autocommit": True}) as pool:
        limits = PostgresLimits(conninfo, pool, 8)
        for _ in range(PICKS):
            begun = time.perf_counter()
            destination = limits.waiting()[0]
            berth = limits.take(destination, 2)
            transfer = limits.first(destination)
            spans.append(time.perf_counter() - begun)
            assert berth is not None
            assert transfer is not None
            limits.give_back(berth)
        limits.close()
    return spans


def _empty(connection: psycopg.Connection[Any]) -> None:
    connection.execute("TRUNCATE procrastinate.procrastinate_jobs, starferry.waiting_transfer CASCADE")
