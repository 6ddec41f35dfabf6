"""Appends of 500 events through the event log, beside COPY of the same rows into an equal table, in turn."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median

import psycopg

from adapters.event_store.log import PostgresEventLog
from adapters.postgres.migrate import migrate
from application.ports.event_log import Commit, Write
from domain.event import Cause
from domain.transfers import TransferRequested, stream_of, transfer_id
from tests.benchmarks import machine
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session
from tests.postgres import fresh_database

EVENTS, ROUNDS, COMMITS = 500, 10, 20
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
    with fresh_database(session.installation.conninfo) as conninfo:
        migrate(conninfo)
        log = PostgresEventLog(conninfo)
        ours: list[float] = []
        copied: list[float] = []
        copied_whole: list[float] = []
        sizes: list[int] = []
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(TABLE)
            for round_ in range(ROUNDS):
                commits = [requests(round_ * COMMITS * EVENTS + k * EVENTS, EVENTS) for k in range(COMMITS)]
                begun = time.perf_counter()
                for commit in commits:
                    log.append(commit)
                ours.append(COMMITS * EVENTS / (time.perf_counter() - begun))
                rows = [log.mapper.stored_commit(commit) for commit in commits]
                sizes += [len(event.state) for event in rows[0]]
                first = round_ * 2 * COMMITS * EVENTS
                copied.append(_copy(connection, rows, first, ""))
                flat = [[event for batch in rows for event in batch]]
                copied_whole.append(_copy(connection, flat, first + COMMITS * EVENTS, "x"))
        log.close()
    yield Row(
        name="append, batches of 500",
        figure=median(ours),
        unit="events/s",
        partner="COPY in batches of 500",
        partner_figure=median(copied),
        goal=f">= {GOAL} of COPY",
        reached=median(ours) >= GOAL * median(copied),
        peak=machine.peak(os.getpid()),
        note=f"encoding included; states of {median(sizes):.0f} B; best {max(ours):,.0f}, COPY {max(copied):,.0f}; "
        f"COPY of {COMMITS * EVENTS:,} rows a transaction {median(copied_whole):,.0f}",
    )


def requests(first: int, count: int) -> Commit:
    """A commit of transfer requests, each the first event of its stream, as the policy makes them."""
    events = [
        TransferRequested(
            id=transfer_id(number, "cfg_0123456789abcdef"),
            storage_config="cfg_0123456789abcdef",
            provider="google_cloud_storage",
            frame=f"lsc1m0a-fa15-20260412-{number:07d}-e00",
            frame_id=number,
            version_id=number,
            filename=f"lsc1m0a-fa15-20260412-{number:07d}-e00.fits.fz",
            content="raw",
            destination_path=f"/fits/PROP001/NGC_1/lsc1m0a-fa15-20260412-{number:07d}-e00.fits.fz",
            store_path=f"lsc/fa15/20260412/raw/lsc1m0a-fa15-20260412-{number:07d}-e00.fits.fz",
            store_key=f"{number * 2654435761 % 2**128:032x}",
            md5=f"{number * 40503 % 2**128:032x}",
            observation=str(number // 10),
            owner="astronomer",
        )
        for number in range(first, first + count)
    ]
    return Commit(
        writes=tuple(Write(stream_of(event.id), 0, (event,)) for event in events), cause=CAUSE, at=datetime.now(UTC)
    )


def _copy(connection: psycopg.Connection[tuple[object, ...]], batches: list, first: int, mark: str) -> float:  # type: ignore[type-arg]
    """Rows a second, one transaction a batch. `mark` keeps the ids of two copies of the same rows apart."""
    position = first
    begun = time.perf_counter()
    for batch in batches:
        with connection.cursor() as cursor, cursor.copy(COPY.encode()) as copy:
            copy.set_types(["text", "int8", "text", "bytea", "int8"])
            for event in batch:
                position += 1
                copy.write_row(
                    (mark + event.originator_id, event.originator_version, event.topic, event.state, position)
                )
    return (position - first) / (time.perf_counter() - begun)
