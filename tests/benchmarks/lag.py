"""How long after its commit a frame is in the read models, while 500 a second arrive."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg

from adapters.event_store.log import PostgresEventLog
from adapters.event_store.numbers import BlockNumbers
from adapters.fits.stored_paths import stored_path
from api.ocs.record_body import parse_body
from api.settings import Settings
from application.commands.ingest import decide_arrival
from projections.runner import CHANNEL
from tests.benchmarks import machine
from tests.benchmarks.load import CAUSE
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session

RATE, SECONDS, WRITERS, GOAL_MS = 500, 30, 5, 250


def run(session: Session) -> Iterator[Row]:
    """See the module."""
    installation = session.installation
    first = session.next_frame
    session.loaded(first + RATE * SECONDS)
    log = PostgresEventLog(installation.conninfo)
    committed: list[tuple[int, float]] = []
    seen: list[tuple[int, float]] = []
    stop = threading.Event()
    with installation.process("projections") as child:
        installation.wait_projected()
        machine.reset_peak(child.pid)
        watcher = threading.Thread(target=_watch, args=(installation.conninfo, seen, stop))
        watcher.start()
        begun = time.monotonic() + 0.5
        writers = [
            threading.Thread(target=_write, args=(session, log, committed, first, number, begun))
            for number in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        elapsed = time.monotonic() - begun
        installation.wait_projected()
        time.sleep(0.2)
        stop.set()
        watcher.join()
        peak = machine.peak(child.pid)
    log.close()
    spans = _spans(committed, seen)
    p50, p99 = (spans[min(len(spans) - 1, int(len(spans) * share))] for share in (0.5, 0.99))
    yield Row(
        name=f"projection lag at {RATE} ingests/s, p99",
        figure=p99,
        unit="ms",
        goal=f"< {GOAL_MS}",
        reached=p99 < GOAL_MS,
        peak=peak,
        note=f"{len(spans)} of {len(committed)} frames at {len(committed) / elapsed:.0f} a second, each committed by "
        f"itself; p50 {p50:.0f} ms, greatest {spans[-1]:.0f} ms; from the commit to the read models' notification",
    )


def _write(
    session: Session, log: PostgresEventLog, committed: list[tuple[int, float]], first: int, writer: int, begun: float
) -> None:
    """Every WRITERS-th frame, at its time or as soon after it as can be."""
    numbers = BlockNumbers(log.datastore)
    types = Settings({})["CONFIGURATION_TYPES"]
    for i in range(writer, RATE * SECONDS, WRITERS):
        body = json.dumps(session.generator.frame(first + i)).encode()
        arrival = parse_body(body, types=types, path=stored_path)
        commit, _ = decide_arrival((), arrival, numbers, cause=CAUSE, now=datetime.now(UTC))
        time.sleep(max(0.0, begun + i / RATE - time.monotonic()))
        position = log.append(commit)
        committed.append((position, time.monotonic()))


def _watch(conninfo: str, seen: list[tuple[int, float]], stop: threading.Event) -> None:
    """Up to which position the read models have come, and when."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}".encode())
        while not stop.is_set():
            for notice in connection.notifies(timeout=0.1):
                seen.append((int(notice.payload), time.monotonic()))


def _spans(committed: list[tuple[int, float]], seen: list[tuple[int, float]]) -> list[float]:
    """Milliseconds from commit to read model, sorted."""
    spans = []
    coming = iter(seen)
    position, at = next(coming, (0, 0.0))
    for wanted, when in sorted(committed):
        while position < wanted:
            reached = next(coming, None)
            if reached is None:
                return sorted(spans)
            position, at = reached
        spans.append(max(0.0, at - when) * 1e3)
    return sorted(spans)
