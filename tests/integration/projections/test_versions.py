"""A read model's next version is built beside the live one, goes on where it was stopped, and can be taken back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.event_store.log import PostgresEventLog
from adapters.sky.spherical_sky import SphericalSky
from domain.errors import Conflict, GiveUp, Misconfigured, NotFound
from projections import builds as builders
from projections import comparing, loading
from projections import rebuild as rebuilding
from projections.builds import build_of, builds, kept, sizes
from projections.frames.projection import FramesProjection
from projections.projection import Projection
from projections.rebuild import rebuild
from projections.runner import ProjectionRunner
from projections.swapping import forget, roll_back
from projections.versions import fit
from tests.integration.projections.conftest import Writer, all_projections, basename, write_a_little_of_everything
from tests.integration.projections.stores import NEW_COLUMN, NextFrames, contents
from tests.site import eventually

ROOT = Path(__file__).resolve().parents[3]
FRAMES = FramesProjection(SphericalSky())
OWN, NEXT = FRAMES.version, NextFrames.version


def next_frames() -> NextFrames:
    return NextFrames(SphericalSky())


def next_release() -> list[Projection]:
    return [next_frames(), *all_projections()[1:]]


def quiet(position: int, upto: int) -> None:
    pass


def project(connection: psycopg.Connection, log: PostgresEventLog, models: list[Projection]) -> None:
    runner = ProjectionRunner("", log, models)
    while runner.step(connection):
        pass


def version_of(connection: psycopg.Connection, name: str = "frames") -> int:
    (row,) = connection.execute("SELECT version FROM starferry.projection WHERE name = %s", (name,)).fetchall()
    return int(row[0])


def test_an_upgrade_under_ingest_and_reads_fails_nobody_and_loses_nothing(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    writer = Writer(log)
    for number in range(60):
        writer.file(number, related=(basename(number + 1),))
    project(connection, log, all_projections())
    old, new = ProjectionRunner(database, log, all_projections()), ProjectionRunner(database, log, next_release())
    stop = threading.Event()
    counts: list[int] = []
    written = 60

    def read() -> None:
        with psycopg.connect(database, autocommit=True) as reader:
            while not stop.is_set():
                (row,) = reader.execute("SELECT count(*) FROM read_frames.frame WHERE id > %s", (0,), prepare=True)
                counts.append(row[0])

    def write() -> None:
        nonlocal written
        while not stop.is_set():
            writer.file(written)
            written += 1
            old.wake()
            new.wake()

    threads = [threading.Thread(target=work) for work in (old.run, read, write)]
    for thread in threads:
        thread.start()
    try:
        staged = rebuild(database, log, next_frames(), quiet, swap=False)
        assert (staged.swapped, staged.identical) == (False, True), staged.tables
        assert version_of(connection) == OWN
        newcomer = threading.Thread(target=new.run)
        fit(database, log, next_release(), swap=True)
        threads.append(newcomer)
        newcomer.start()
        threads[0].join(30)
        assert f"frames is version {NEXT} now" in old.superseded
        reached = written + 20
        while written < reached:
            stop.wait(0.01)
    finally:
        stop.set()
        for thread in threads[1:3]:
            thread.join()
        old.stop()
        new.stop()
        for thread in threads:
            thread.join()
    assert counts == sorted(counts), "a reader saw rows vanish"
    assert not new.superseded
    project(connection, log, next_release())
    assert connection.execute("SELECT count(*), count(shouted) FROM read_frames.frame").fetchone() == (written, written)
    again = rebuild(database, log, next_frames(), quiet)
    assert again.identical, again.tables


def test_live_projecting_goes_on_while_the_rows_are_compared(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(log)
    write_a_little_of_everything(writer)
    project(connection, log, all_projections())
    compare_tables = comparing._compare_tables
    meanwhile: list[int] = []

    def slow_comparison(*arguments: Any, **keywords: Any) -> Any:
        position = writer.file(500)
        connection.execute("SET lock_timeout TO '2s'")
        project(connection, log, all_projections())
        row = connection.execute("SELECT position FROM starferry.projection WHERE name = 'frames'").fetchone()
        assert row == (position,)
        meanwhile.append(position)
        return compare_tables(*arguments, **keywords)

    monkeypatch.setattr(comparing, "_compare_tables", slow_comparison)
    rebuilt = rebuild(database, log, FRAMES, quiet)
    assert rebuilt.identical, rebuilt.tables
    assert meanwhile == [rebuilt.position]
    assert rebuilt.comparison is not None
    assert rebuilt.comparison.position < rebuilt.position


def test_versions_are_compared_in_what_both_have(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    write_a_little_of_everything(Writer(log))
    project(connection, log, all_projections())
    connection.execute("UPDATE read_frames.frame SET target_name = 'tampered' WHERE id = 1")
    different = rebuild(database, log, next_frames(), quiet, keep_different=True)
    assert (different.swapped, different.identical) == (False, False)
    assert {table for table, (_, equal) in different.tables.items() if equal is False} == {"frame"}
    model = next_frames()
    model.changed = {"frame": frozenset({"target_name"})}  # type: ignore[attr-defined]
    rebuilt = rebuild(database, log, model, quiet, keep_different=True)
    assert (rebuilt.swapped, rebuilt.identical, rebuilt.begun) == (True, True, 0)


def test_tables_that_changed_without_a_new_version_are_told(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    write_a_little_of_everything(Writer(log))
    project(connection, log, all_projections())
    model = next_frames()
    model.version = OWN
    assert rebuild(database, log, model, quiet).tables["frame"][1] is False


class Stopped(Exception):
    pass


def test_a_build_that_was_stopped_goes_on_where_it_was(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "STRETCH", 10)
    write_a_little_of_everything(Writer(log))
    project(connection, log, all_projections())

    def stop_at_30(position: int, upto: int) -> None:
        build = build_of(connection, "frames")
        assert build is not None
        assert (build.position, build.target, build.stage, build.running) == (position, upto, "loading", True)
        if position >= 30:
            raise Stopped

    with pytest.raises(Stopped):
        rebuild(database, log, FRAMES, stop_at_30)
    build = eventually(
        lambda: next((one for one in builds(connection) if not one.running), None), "the lock of a stopped build stays"
    )
    assert (build.position, build.seconds_left, build.rate > 0) == (30, None, True)
    with pytest.raises(Stopped):
        rebuild(database, log, next_frames(), stop_at_30)  # another version: from the beginning
    rebuilt = rebuild(database, log, next_frames(), quiet)
    assert (rebuilt.begun, rebuilt.identical) == (30, True), rebuilt.tables
    with pytest.raises(Stopped):
        rebuild(database, log, next_frames(), stop_at_30)
    rebuilt = rebuild(database, log, next_frames(), quiet, restart=True)
    assert (rebuilt.begun, rebuilt.identical) == (0, True), rebuilt.tables
    assert builds(connection) == []


class BrokenFrames(NextFrames):
    """A later release's, of which no rows can be made from some event on."""

    def apply(self, cursor: Any, events: Any) -> None:
        _break(events)
        super().apply(cursor, events)

    def prepare(self, events: Any) -> Any:
        _break(events)
        return super().prepare(events)


def _break(events: Any) -> None:
    if any(event.position > 30 for event in events):
        raise ValueError("division by zero")


class RefusingFrames(NextFrames):
    """A later release's, whose tables refuse the rows from some event on."""

    tables = NextFrames.tables.replace(NEW_COLUMN, f"{NEW_COLUMN}, CHECK (headers_at <= 30)")


@pytest.mark.parametrize(
    ("model", "many", "reason"),
    [
        (BrokenFrames, loading.MANY, "division by zero"),
        (BrokenFrames, 1, "division by zero"),
        (RefusingFrames, loading.MANY, 'new row for relation "frame" violates check constraint'),
    ],
    ids=["made in a thread", "made in a process", "refused by a table"],
)
def test_an_event_that_breaks_a_build_is_told_and_the_live_model_goes_on(
    database: str,
    log: PostgresEventLog,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    model: type[NextFrames],
    many: int,
    reason: str,
) -> None:
    monkeypatch.setattr(loading, "MANY", many)
    monkeypatch.setattr(loading, "STRETCH", 10)
    write_a_little_of_everything(Writer(log))
    project(connection, log, all_projections())
    before = contents(database)
    with pytest.raises(GiveUp, match=rf"frames stays at event 30: .* \({reason}"):
        rebuild(database, log, model(SphericalSky()), quiet)
    assert [(build.position, build.stage) for build in builds(connection)] == [(30, "loading")]
    assert contents(database) == before
    assert version_of(connection) == OWN


def test_a_live_model_that_is_far_behind_is_not_compared_unless_it_must_be(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(log)
    write_a_little_of_everything(writer)
    project(connection, log, all_projections())
    head = writer.file(500)
    monkeypatch.setattr(rebuilding, "FAR_BEHIND", 0)
    verified = rebuild(database, log, FRAMES, quiet, keep_different=True)
    assert (verified.identical, verified.swapped, verified.position) == (True, True, head)
    connection.execute("UPDATE starferry.projection SET position = 1 WHERE name = 'frames'")
    rebuilt = rebuild(database, log, FRAMES, quiet)
    assert (rebuilt.comparison, rebuilt.swapped, rebuilt.position) == (None, True, head)


KILLED = """
import sys
from adapters.event_store.log import PostgresEventLog
from projections import loading
from projections.rebuild import rebuild
from tests.integration.projections.test_versions import FRAMES
loading.STRETCH, loading.MANY = 10, int(sys.argv[2])
def report(position, upto):
    if position >= 40:
        print(position, flush=True)
        sys.stdin.read()
rebuild(sys.argv[1], PostgresEventLog(sys.argv[1]), FRAMES, report)
"""


@pytest.mark.parametrize("many", [loading.MANY, 1], ids=["with threads", "with processes"])
def test_a_build_that_was_killed_goes_on_where_it_was(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_a_little_of_everything(Writer(log))
    project(connection, log, all_projections())
    before = contents(database)
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, database, str(many)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdin, child.stdout:
        assert child.stdout.readline() == b"40\n"
        with pytest.raises(Conflict, match="Another rebuild"):
            rebuild(database, log, FRAMES, quiet)
        child.send_signal(signal.SIGKILL)
        child.wait()
    monkeypatch.setattr(builders, "LOCK_MILLISECONDS", 60_000)  # until the database has seen its end
    rebuilt = rebuild(database, log, FRAMES, quiet)
    assert (rebuilt.begun, rebuilt.identical) == (40, True), rebuilt.tables
    assert contents(database) == before


def test_what_was_live_before_is_put_back_up_to_date_and_forth_again(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    writer = Writer(log)
    write_a_little_of_everything(writer)
    project(connection, log, all_projections())
    with pytest.raises(NotFound, match="no earlier read model"):
        roll_back(database, log, FRAMES, quiet)
    rebuild(database, log, next_frames(), quiet)
    head = writer.file(100)
    project(connection, log, next_release())
    with pytest.raises(Conflict, match=f"is version {OWN}, which this program can't keep up to date"):
        roll_back(database, log, next_frames(), quiet)
    swapped = roll_back(database, log, FRAMES, quiet)
    assert (swapped.version, swapped.position, version_of(connection)) == (OWN, head, OWN)
    assert connection.execute("SELECT 1 FROM read_frames.frame WHERE id = 101").fetchone()
    writer.file(101)
    project(connection, log, all_projections())
    assert connection.execute("SELECT 1 FROM read_frames.frame WHERE id = 102").fetchone()
    (one,) = kept(connection)
    assert (one.version, one.position) == (NEXT, head)
    assert roll_back(database, log, next_frames(), quiet).version == NEXT
    assert connection.execute("SELECT shouted FROM read_frames.frame WHERE id = 102").fetchone() == (
        basename(101).upper(),
    )
    assert rebuild(database, log, next_frames(), quiet).identical


def test_what_is_kept_can_be_forgotten_and_the_next_rebuild_replaces_it(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    write_a_little_of_everything(Writer(log))
    project(connection, log, all_projections())
    rebuild(database, log, FRAMES, quiet)
    rebuild(database, log, FRAMES, quiet)
    assert len(kept(connection)) == 1
    rebuild(database, log, FRAMES, quiet, swap=False)
    assert {"old_frames", "build_frames"} < set(sizes(connection))
    forget(database, "frames")
    assert (kept(connection), builds(connection)) == ([], [])
    assert not {"old_frames", "build_frames"} & set(sizes(connection))


def test_a_program_of_another_version_refuses_in_a_sentence(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    write_a_little_of_everything(Writer(log))
    project(connection, log, all_projections())
    fit(database, log, all_projections())
    with pytest.raises(
        Misconfigured, match=rf"of an older program \(version {OWN}; this one makes {NEXT}\): run `star"
    ):
        fit(database, log, next_release(), swap=True)
    rebuild(database, log, next_frames(), quiet, swap=False)
    fit(database, log, all_projections(), swap=True)
    with pytest.raises(Misconfigured, match="swapped in when the processes of this program start"):
        fit(database, log, next_release())
    assert version_of(connection) == OWN
    fit(database, log, next_release(), swap=True)
    assert version_of(connection) == NEXT
    with pytest.raises(Misconfigured, match=rf"of a newer program \(version {NEXT}; this one makes {OWN}\): run that"):
        fit(database, log, all_projections(), swap=True)


def test_an_older_program_does_not_write_to_newer_tables(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    writer = Writer(log)
    writer.file(1)
    old = ProjectionRunner(database, log, all_projections())
    assert old.step(connection)
    rebuild(database, log, next_frames(), quiet)
    writer.file(2)
    before = contents(database)
    assert not old.step(connection)
    assert f"frames is version {NEXT} now" in old.superseded
    assert contents(database) == before


def test_a_read_model_that_comes_while_a_batch_is_under_way_lacks_nothing(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(log)
    writer.file(1)
    project(connection, log, all_projections())
    head = writer.file(2)
    read = log.read

    def replaced_meanwhile(*arguments: Any, **keywords: Any) -> Any:
        batch = read(*arguments, **keywords)
        connection.execute("UPDATE starferry.projection SET position = 0 WHERE name = 'facets'")
        connection.execute("TRUNCATE read_facets.facet, read_facets.term, read_facets.member")
        return batch

    with monkeypatch.context() as patched:
        patched.setattr(log, "read", replaced_meanwhile)
        assert ProjectionRunner(database, log, all_projections()).step(connection)
    positions = dict(connection.execute("SELECT name, position FROM starferry.projection").fetchall())
    assert (positions["frames"], positions["facets"]) == (head, 0)
    project(connection, log, all_projections())
    assert connection.execute("SELECT count(*) FROM read_facets.member").fetchone() == (2,)
