"""One event a commit, 32 at a time: the group commit of one event loop beside the library's own recorder in threads."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from itertools import count
from statistics import median

import psycopg
import uvloop
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.group_commit import GroupCommitLog
from adapters.event_store.mapper import EventMapper
from adapters.postgres.migrate import migrate
from tests.benchmarks import machine
from tests.benchmarks.append_batches import completions
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session
from tests.postgres import fresh_database

CONCURRENT, FEW, SECONDS, ROUNDS = 32, 4, 2.0, 3
GOAL = 5.0


def run(session: Session) -> Iterator[Row]:
    """See the module."""
    machine.reset_peak(os.getpid())
    numbers = count(1)
    ours: list[float] = []
    many: list[float] = []
    few: list[float] = []
    with fresh_database(session.installation.conninfo) as conninfo:
        migrate(conninfo)
        for _ in range(ROUNDS):
            ours.append(uvloop.run(_group_commit(conninfo, numbers)))
            many.append(_stock(conninfo, numbers, CONCURRENT))
            few.append(_stock(conninfo, numbers, FEW))
    stock = max(median(many), median(few))
    yield Row(
        name="append, one event, 32 concurrent",
        figure=median(ours),
        unit="events/s",
        partner="stock recorder",
        partner_figure=stock,
        goal=f">= {GOAL:.0f} x stock",
        reached=median(ours) >= GOAL * stock,
        peak=machine.peak(os.getpid()),
        note=f"stock recorder with {CONCURRENT} threads {median(many):,.0f}, with {FEW} {median(few):,.0f}",
    )


async def _group_commit(conninfo: str, numbers: Iterator[int]) -> float:
    """Commits a second."""
    async with AsyncConnectionPool(
        conninfo, min_size=2, max_size=8, kwargs={"autocommit": True, "prepare_threshold": 1}, open=False
    ) as pool:
        log = GroupCommitLog(pool)
        for _ in range(3):
            await log.append(completions(next(numbers), 1))
        done = 0
        begun = time.perf_counter()

        async def client() -> None:
            nonlocal done
            while time.perf_counter() - begun < SECONDS:
                await log.append(completions(next(numbers), 1))
                done += 1

        await asyncio.gather(*(client() for _ in range(CONCURRENT)))
        return done / (time.perf_counter() - begun)


def _stock(conninfo: str, numbers: Iterator[int], threads: int) -> float:
    """Commits a second of the library's recorder with a table in a schema of its own; encoding included, as ours."""
    parameters = psycopg.conninfo.conninfo_to_dict(conninfo)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS stock")
    datastore = PostgresDatastore(
        dbname=str(parameters["dbname"]),
        host=str(parameters["host"]),
        port=str(parameters.get("port") or "5432"),
        user=str(parameters["user"]),
        password=str(parameters["password"]),
        pool_size=threads,
        max_overflow=0,
        schema="stock",
        originator_id_type="text",
    )
    recorder = PostgresApplicationRecorder(datastore, events_table_name="stock_events")
    recorder.create_table()
    mapper = EventMapper()
    lock = threading.Lock()
    done = [0] * threads

    def fresh() -> list[StoredEvent]:
        with lock:
            number = next(numbers)
        return mapper.stored_commit(completions(number, 1))

    def client(place: int) -> None:
        while time.perf_counter() - begun < SECONDS:
            recorder.insert_events(fresh())
            done[place] += 1

    recorder.insert_events(fresh())
    clients = [threading.Thread(target=client, args=(place,)) for place in range(threads)]
    begun = time.perf_counter()
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    elapsed = time.perf_counter() - begun
    datastore.close()
    return sum(done) / elapsed
