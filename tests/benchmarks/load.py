"""Fills the archive with frames through the event store, 500 to a commit, in several processes.

Alone: `python -m tests.benchmarks.load --frames N --data DIR [--generator FILE]`. It goes on where it stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from adapters.event_store.log import PostgresEventLog
from adapters.event_store.numbers import BlockNumbers
from adapters.fits.stored_paths import stored_path
from api.ocs.record_body import parse_body
from api.settings import Settings
from application.commands.ingest import decide_arrival
from application.ports.event_log import Commit
from domain.errors import AlreadyExists, StreamConflict
from domain.event import Cause
from tests.benchmarks import machine
from tests.benchmarks.frames import open_generator
from tests.benchmarks.installation import Installation
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session

BATCH = 500
GOAL_BYTES = 5_000
CAUSE = Cause(actor="benchmark", via="ocs", correlation="load")

_process: dict[str, Any] = {}


def run(session: Session) -> Iterator[Row]:
    """Load, let the read models catch up, weigh the database."""
    installation = session.installation
    first = session.next_frame
    if first < session.frames:
        begun = time.monotonic()
        fill(session)
        yield Row(
            name="load",
            figure=(session.next_frame - first) / (time.monotonic() - begun),
            unit="frames/s",
            note="generating, validating, encoding and appending, 500 to a commit",
        )
    yield from _catch_up(session)
    with psycopg.connect(installation.conninfo, autocommit=True) as connection:
        connection.execute("ANALYZE")
        connection.execute("CHECKPOINT")
    yield _size(installation)


def ensure(session: Session) -> None:
    """Have the frames in the archive and in the read models, for benchmarks that need them."""
    if session.next_frame < session.frames:
        session.say(f"loading {session.frames - session.next_frame} frames first")
        fill(session)
    if session.installation.projected() < session.installation.head():
        for row in _catch_up(session):
            session.say(f"{row.name}: {row.figure:.0f} {row.unit}")
        with psycopg.connect(session.installation.conninfo, autocommit=True) as connection:
            connection.execute("ANALYZE")


def fill(session: Session) -> None:
    """Append what is missing of `session.frames`."""
    spawning = multiprocessing.get_context("spawn")
    arguments = (session.installation.conninfo, session.generator_path)
    with ProcessPoolExecutor(os.cpu_count() or 2, spawning, _open, arguments) as processes:
        begun, first = time.monotonic(), session.next_frame
        starts = range(first, session.frames, BATCH)
        told = begun
        for start, upto in zip(starts, processes.map(_append, starts, [session.frames] * len(starts)), strict=True):
            session.loaded(upto)
            if time.monotonic() - told > 5 or upto == session.frames:
                told = time.monotonic()
                session.say(f"loaded {upto} of {session.frames} frames ({(start - first) / (told - begun):.0f}/s)")


def _open(conninfo: str, generator: Path | None) -> None:
    log = PostgresEventLog(conninfo)
    types = Settings({})["CONFIGURATION_TYPES"]
    _process.update(log=log, numbers=BlockNumbers(log.datastore), generator=open_generator(generator), types=types)


def _append(start: int, end: int) -> int:
    """One commit with the frames from `start`; those that an earlier, stopped run has stored are left."""
    now = datetime.now(UTC)
    upto = min(start + BATCH, end)
    commits = []
    for i in range(start, upto):
        body = json.dumps(_process["generator"].frame(i)).encode()
        arrival = parse_body(body, types=_process["types"], path=stored_path)
        commits.append(decide_arrival((), arrival, _process["numbers"], cause=CAUSE, now=now)[0])
    together = Commit(
        writes=tuple(write for commit in commits for write in commit.writes),
        claims=tuple(claim for commit in commits for claim in commit.claims),
        cause=CAUSE,
        at=now,
    )
    with contextlib.suppress(AlreadyExists, StreamConflict):
        _process["log"].append(together)
    return upto


def _catch_up(session: Session) -> Iterator[Row]:
    """The rate of `starferry projections` with all indexes in place, from its first batch to the last."""
    installation = session.installation
    head, begun_at = installation.head(), installation.projected()
    if head <= begun_at:
        return
    with installation.process("projections") as child:
        first = _wait(installation.projected, lambda at: at > begun_at, child.poll)
        begun, told = time.monotonic(), time.monotonic()
        position = first
        while position < head:
            time.sleep(0.05)
            position = installation.projected()
            if time.monotonic() - told > 10:
                told = time.monotonic()
                session.say(f"projected {position} of {head} ({(position - first) / (told - begun):.0f}/s)")
        elapsed = max(time.monotonic() - begun, 1e-6)
        yield Row(
            name="projection catch-up",
            figure=(head - first) / elapsed,
            unit="events/s",
            peak=machine.peak(child.pid),
            note="all read models with their indexes, policies reading along in the same process",
        )


def _wait(read: Callable[[], int], enough: Callable[[int], bool], ended: Callable[[], int | None]) -> int:
    while True:
        value = read()
        if enough(value):
            return value
        if ended() is not None:
            raise RuntimeError("The projections process ended by itself.")
        time.sleep(0.01)


def _size(installation: Installation) -> Row:
    tables = (
        "SELECT n.nspname || '.' || c.relname, pg_total_relation_size(c.oid), pg_indexes_size(c.oid) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND (n.nspname LIKE 'read%' "
        "OR n.nspname = 'starferry') ORDER BY 2 DESC"
    )
    with psycopg.connect(installation.conninfo) as connection:
        sizes = connection.execute(tables).fetchall()
    frames = installation.frames()
    told = ", ".join(f"{name} {size / frames:.0f} (indexes {index / frames:.0f})" for name, size, index in sizes[:5])
    figure = sum(size for _, size, _ in sizes) / frames
    return Row(
        name="size in the database",
        figure=figure,
        unit="B/frame",
        goal=f"<= {GOAL_BYTES}",
        reached=figure <= GOAL_BYTES,
        note=f"{frames} frames; {told}",
    )


def main() -> None:
    """Load and let the read models catch up."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.load", description=__doc__)
    parser.add_argument("--frames", type=int, default=500_000)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--generator", type=Path, help="a file with another generator's class Gen")
    options = parser.parse_args()
    installation = Installation(options.data.absolute())
    try:
        session = Session(installation, options.frames, options.generator, None)
        ensure(session)
        session.say(f"{installation.frames()} frames are there")
    finally:
        installation.close_database()


if __name__ == "__main__":
    main()
