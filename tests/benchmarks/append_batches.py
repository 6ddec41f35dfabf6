"""Appends of 500 events through the event log, beside COPY of the same rows into an equal table, in turn."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Any

import psycopg

from adapters.event_store.log import PostgresEventLog
from adapters.event_store.mapper import StoredRow
from adapters.postgres.migrate import migrate
from application.ports.event_log import Commit, Write
from domain.event import Cause
from domain.transfer_events import TransferCompleted
from domain.transfers import stream_of, transfer_id
from tests.benchmarks import machine
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session
from tests.postgres import fresh_database

EVENTS, ROUNDS, COMMITS, WRITERS = 500, 10, 20, 4
GOAL = 0.5
CAUSE = Cause(actor="policy:DeliverToDestinations", via="policy", correlation="0123456789abcdef", causation=1234567)
COPY = "COPY plain_events (originator_id, originator_version, topic, state, notification_id) FROM STDIN (FORMAT BINARY)"
TABLE = """
CREATE TABLE plain_events (originator_id text NOT NULL, originator_version bigint NOT NULL, topic text NOT NULL,
    state bytea NOT NULL, notification_id bigint NOT NULL, PRIMARY KEY (originator_id, originator_version));
ALTER TABLE plain_events ALTER COLUMN state SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX plain_events_notification_id_idx ON plain_events (notification_id);
"""


def run(session: Session) -> Iterator[Row]:
    """See the module."""
    machine.reset_peak(os.getpid())
    alone: list[float] = []
    together: list[float] = []
    copied: list[float] = []
    sizes: list[int] = []
    with fresh_database(session.installation.conninfo) as conninfo, ThreadPoolExecutor(WRITERS) as writers:
        migrate(conninfo)
        log = PostgresEventLog(conninfo)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(TABLE)
            for round_ in range(ROUNDS):
                first = round_ * 2 * COMMITS * EVENTS
                commits = [completions(first + k * EVENTS, EVENTS) for k in range(2 * COMMITS)]
                alone.append(_rate(lambda work: deque(map(log.append, work), 0), commits[:COMMITS]))
                together.append(_rate(lambda work: deque(writers.map(log.append, work), 0), commits[COMMITS:]))
                rows = [log.mapper.stored_commit(commit) for commit in commits[:COMMITS]]
                sizes += [len(event.state) for event in rows[0]]
                copied.append(_rate(partial(_copy, connection, first), rows))
        log.close()
    peak = machine.peak(os.getpid())
    for name, ours, goal in (("one writer", alone, None), (f"{WRITERS} writers", together, GOAL)):
        yield Row(
            name=f"append, batches of 500, {name}",
            figure=median(ours),
            unit="events/s",
            partner="COPY under the same lock",
            partner_figure=median(copied),
            goal=f">= {goal} of COPY" if goal else "",
            reached=median(ours) >= goal * median(copied) if goal else None,
            peak=peak,
            note=f"encoding included, COPY's rows are encoded beforehand; states of {median(sizes):.0f} B; "
            f"best {max(ours):,.0f}, COPY {max(copied):,.0f}",
        )


def completions(first: int, count: int) -> Commit:
    """A commit of events with some 300 B of JSON, each the first of its stream."""
    events = {
        transfer_id(number, "cfg-0123456789abcdef"): TransferCompleted(
            attempt=1,
            destination_path=f"/fits/PROP001/NGC_1/lsc1m0a-fa15-20260412-{number:07d}-e00.fits.fz",
            remote_id=str(number * 2654435761),
            bytes_sent=number,
            verified={"md5": f"{number * 40503 % 2**128:032x}"},
        )
        for number in range(first, first + count)
    }
    return Commit(
        writes=tuple(Write(stream_of(transfer), 0, (event,)) for transfer, event in events.items()),
        cause=CAUSE,
        at=datetime.now(UTC),
    )


def _rate(work: Callable[[list[Any]], object], commits: list[Any]) -> float:
    """Events a second of COMMITS commits."""
    begun = time.perf_counter()
    work(commits)
    return COMMITS * EVENTS / (time.perf_counter() - begun)


def _copy(connection: psycopg.Connection[tuple[object, ...]], first: int, batches: list[list[StoredRow]]) -> None:
    """One transaction a batch, each holding the lock that keeps positions in order."""
    position = first
    for batch in batches:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(b"SELECT pg_advisory_xact_lock(7236837104)", prepare=True)
            with cursor.copy(COPY.encode()) as copy:
                copy.set_types(["text", "int8", "text", "bytea", "int8"])
                for event in batch:
                    position += 1
                    copy.write_row((*event, position))
