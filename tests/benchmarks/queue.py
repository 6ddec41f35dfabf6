"""100 000 transfers wait: finding the next one, beside an empty queue, and how soon a quiet destination's begins.

In a database of its own, so that nothing else works on the queue. What is timed first is what a worker does before it
looks at a transfer: finding whose turn it is, taking a place, taking the transfer that has waited longest. Then a real
worker carries real transfers, of which 100 000 go to one destination, and one at a time is asked for at another.
"""

from __future__ import annotations

import asyncio
import io
import logging
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import psycopg
import structlog
from psycopg_pool import ConnectionPool

from adapters.clock import SystemClock
from adapters.event_store.log import PostgresEventLog
from adapters.jobs.limits import PostgresLimits
from adapters.jobs.queue import PostgresJobs, create_schema
from adapters.jobs.worker import run_worker
from adapters.postgres.migrate import migrate
from application.ferry import Ferry
from application.ports.destination import Arrived, Session, Upload
from application.ports.event_log import Commit, Write
from domain.storage_configs import StorageConfig
from domain.transfer_events import TransferRequested
from domain.transfers import stream_of
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session as Run
from tests.fakes.file_store import OpenVault
from tests.fakes.samples import CAUSE, configured, hashes_of, transfer_requested
from tests.postgres import fresh_database

QUEUED, BATCH, PICKS, DESTINATIONS = 100_000, 1000, 300, 50
MOST = 1.5
"""A pick among many may take half as long again: its index is two levels deeper."""
PLACES, QUIET, PAUSE, SOON_MS = 8, 30, 0.1, 1000
UPLOAD_SECONDS = 0.05


def run(session: Run) -> Iterator[Row]:
    """See the module."""
    with fresh_database(session.installation.conninfo) as conninfo:
        migrate(conninfo)
        create_schema(conninfo)
        with psycopg.connect(conninfo, autocommit=True) as connection, _pool(conninfo) as pool:
            for destinations in (1, DESTINATIONS):
                yield _compared(conninfo, connection, pool, destinations)
            yield _quiet(conninfo, connection, pool)


def _pool(conninfo: str) -> ConnectionPool[Any]:
    return ConnectionPool(conninfo, min_size=1, max_size=8, kwargs={"autocommit": True})


def _compared(conninfo: str, connection: psycopg.Connection[Any], pool: ConnectionPool[Any], destinations: int) -> Row:
    """Milliseconds, the median of picks; before, between and after, so that a busy moment shows."""

    def picks(queued: int) -> list[float]:
        connection.execute("TRUNCATE starferry.waiting_transfer")
        jobs = PostgresJobs(conninfo, pool)
        for first in range(0, queued, BATCH):
            numbers = range(first, min(first + BATCH, queued))
            jobs.nudge([(f"v{number}-cfg-{number % destinations}", None) for number in numbers])
        jobs.close()
        return _pick(conninfo, pool)

    few = picks(PICKS)
    many = picks(QUEUED)
    few += picks(PICKS)
    ours, partner = statistics.median(many) * 1e3, statistics.median(few) * 1e3
    return Row(
        name=f"finding the next transfer, {QUEUED:,} wait for {destinations} destinations",
        figure=ours,
        unit="ms",
        partner=f"{PICKS} wait",
        partner_figure=partner,
        goal=f"<= {MOST} of it",
        reached=ours <= MOST * partner,
        note=f"p99 {_p99(many):.2f} ms, with {PICKS} {_p99(few):.2f} ms",
    )


def _pick(conninfo: str, pool: ConnectionPool[Any]) -> list[float]:
    spans = []
    limits = PostgresLimits(conninfo, pool, PLACES)
    for _ in range(PICKS):
        begun = time.perf_counter()
        destination = next(iter(limits.waiting()))
        berth = limits.take(destination, None)
        taken = limits.first(destination, together=False)
        spans.append(time.perf_counter() - begun)
        assert berth is not None
        assert len(taken) == 1
        limits.give_back(berth)
    limits.close()
    return spans


def _p99(spans: list[float]) -> float:
    """In milliseconds."""
    return sorted(spans)[int(0.99 * len(spans))] * 1e3


def _quiet(conninfo: str, connection: psycopg.Connection[Any], pool: ConnectionPool[Any]) -> Row:
    """From a nudge to the moment in which the worker opens the destination."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    connection.execute("TRUNCATE starferry.waiting_transfer")
    log, jobs, opened = PostgresEventLog(conninfo), PostgresJobs(conninfo, pool), _Opened()
    limits = PostgresLimits(conninfo, pool, PLACES)
    for config in ("busy", "quiet"):
        configured(log, config)
    for first in range(0, QUEUED, BATCH):
        _request(log, jobs, [transfer_requested(number, "busy") for number in range(first + 1, first + BATCH + 1)])
    ferry = Ferry(
        log=log,
        store=_Files(),  # type: ignore[arg-type]
        vault=OpenVault(),
        clock=SystemClock(),
        open_destination=opened,  # type: ignore[arg-type]
        limits=limits,
        hash_file=lambda _: (0, hashes_of(b"")),
        worker="benchmark",
    )
    spans = []
    with _working(conninfo, ferry):
        for number in range(QUEUED + 1, QUEUED + 1 + QUIET):
            time.sleep(PAUSE)
            opened.quiet.clear()
            begun = time.perf_counter()
            _request(log, jobs, [transfer_requested(number, "quiet")])
            if not opened.quiet.wait(60.0):
                raise TimeoutError("The quiet destination's transfer didn't begin.")
            spans.append(time.perf_counter() - begun)
        ((left,),) = connection.execute("SELECT count(*) FROM starferry.waiting_transfer").fetchall()
        connection.execute("TRUNCATE starferry.waiting_transfer")
    while +limits._running:  # those under way
        time.sleep(PAUSE)
    limits.close()
    jobs.close()
    log.close()
    slowest = max(spans) * 1e3
    return Row(
        name=f"a quiet destination's transfer begins while {QUEUED:,} of another wait, slowest of {QUIET}",
        figure=slowest,
        unit="ms",
        goal=f"<= {SOON_MS}",
        reached=slowest <= SOON_MS,
        note=f"median {statistics.median(spans) * 1e3:.1f} ms, its events included; {left:,} waited at the end",
    )


def _request(log: PostgresEventLog, jobs: PostgresJobs, requested: list[TransferRequested]) -> None:
    writes = tuple(Write(stream_of(one.id), 0, (one,)) for one in requested)
    log.append(Commit(writes=writes, cause=CAUSE, at=SystemClock().now()))
    jobs.nudge([(one.id, None) for one in requested])


@contextmanager
def _working(conninfo: str, ferry: Ferry) -> Iterator[None]:
    """A worker in a thread of its own."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    task = loop.create_task(run_worker(conninfo, ferry.go_on, lambda _: None, dict, places=PLACES))

    def work() -> None:
        loop.run_until_complete(asyncio.wait([task]))
        loop.run_until_complete(loop.shutdown_default_executor())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


class _Opened:
    """An OpenDestination whose destinations take every file in the same short time."""

    def __init__(self) -> None:
        self.quiet = threading.Event()

    @contextmanager
    def __call__(self, config: StorageConfig, secrets: Mapping[str, str]) -> Iterator[_Slow]:
        if config.id == "quiet":
            self.quiet.set()
        yield _Slow()


class _Slow:
    chunk_size, keeps_session = 1 << 20, False

    def begin(self, upload: Upload, resume: Session | None) -> Session:
        time.sleep(UPLOAD_SECONDS)
        return Session(offset=upload.size)

    def finish(self, upload: Upload, session: Session) -> Arrived:
        return Arrived(upload.path, "1", upload.size, {"md5": upload.hashes.md5})


class _Files:
    open: Callable[..., BinaryIO] = staticmethod(lambda *_: io.BytesIO(b"x"))
