"""A storage configuration of 5 000 events: loaded and folded for the first time in a process, and again after one more.

The goals are ours: a worker loads the configuration for every transfer, and a person waits for what loads it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from adapters.event_store.log import PostgresEventLog
from application.ports.event_log import Commit, Write
from domain import storage_configs
from domain.event import Cause
from domain.storage_configs import StorageConfigPaused, StorageConfigResumed
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session

EVENTS, ROUNDS = 5_000, 21
FIRST_MS, AGAIN_MS = 150.0, 25.0


def run(session: Session) -> Iterator[Row]:
    """See the module."""
    stream = storage_configs.stream_of(f"benchmark-{time.time_ns()}")
    log = PostgresEventLog(session.installation.conninfo)
    try:
        _fill(log, stream, EVENTS - ROUNDS)
        first, again = [], []
        for number in range(ROUNDS):
            _fill(log, stream, 1, EVENTS - ROUNDS + number)
            again.append(_load(log, stream))
            other = PostgresEventLog(session.installation.conninfo)
            first.append(_load(other, stream))
            other.close()
    finally:
        log.close()
    for name, found, goal in (("first", first, FIRST_MS), ("again", again, AGAIN_MS)):
        median = sorted(found)[len(found) // 2] * 1e3
        yield Row(
            name=f"a stream of {EVENTS} events loaded and folded, {name}",
            figure=median,
            unit="ms",
            goal=f"<= {goal:.0f}",
            reached=median <= goal,
            note=f"median of {len(found)}, slowest {max(found) * 1e3:.1f} ms",
        )


def _fill(log: PostgresEventLog, stream: str, count: int, expected: int = 0) -> None:
    now = datetime.now(UTC)
    events = tuple(
        StorageConfigResumed() if number % 2 else StorageConfigPaused(reason="quota", until=now + timedelta(hours=1))
        for number in range(expected, expected + count)
    )
    log.append(Commit(writes=(Write(stream, expected, events),), cause=Cause(actor="benchmark", via="cli"), at=now))


def _load(log: PostgresEventLog, stream: str) -> float:
    log.head()  # connected
    begun = time.perf_counter()
    storage_configs.fold(log.load(stream))
    return time.perf_counter() - begun
