"""A rebuilt read model is the live one, row by row, whatever happens meanwhile."""

from __future__ import annotations

import threading

import psycopg
import pytest

from adapters.event_store.log import PostgresEventLog
from domain.accounts import PasswordSet
from domain.catalogue import EVENTS
from domain.errors import Conflict
from domain.frames import CalibrationCompleted, CalibrationFailed, CopyWanted, FilesRemoved
from domain.storage_configs import StorageConfigRecovered
from projections.builds import LOCK_KEY
from projections.projection import Projection, checksum_query, live_schema
from projections.rebuild import rebuild
from projections.runner import ProjectionRunner
from tests.integration.projections.conftest import Writer, all_projections, basename, write_a_little_of_everything


def contents(connection: psycopg.Connection) -> dict[str, object]:
    """A checksum of every table of every read model."""
    tables = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'read_%' ORDER BY 1, 2"
    ).fetchall()
    return {
        f"{schema}.{table}": connection.execute(checksum_query(schema, table)).fetchone() for schema, table in tables
    }


def project_all(connection: psycopg.Connection, log: PostgresEventLog, database: str) -> None:
    runner = ProjectionRunner(database, log, all_projections())
    while runner.step(connection):
        pass


def quiet(position: int, upto: int) -> None:
    pass


def test_every_read_model_rebuilds_to_identical_content(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    write_a_little_of_everything(Writer(log))
    project_all(connection, log, database)
    before = contents(connection)
    assert sum(rows for rows, _ in before.values()) > 30  # type: ignore[misc]
    for projection in all_projections():
        rebuilt = rebuild(database, log, projection, quiet)
        assert rebuilt.identical, rebuilt.tables
    assert contents(connection) == before


def test_one_event_at_a_time_gives_the_same_rows_as_one_big_batch(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    head = write_a_little_of_everything(Writer(log))
    for position in range(1, head + 1):
        batch = log.read(position - 1, 1)
        for projection in all_projections():
            mine = [event for event in batch.events if event.event.topic in projection.topics]
            if mine:
                with connection.transaction(), connection.cursor() as cursor:
                    cursor.execute(f"SET LOCAL search_path TO {live_schema(projection.name)}")
                    projection.apply(cursor, mine)
    connection.execute("UPDATE starferry.projection SET position = %s", (head,))
    for projection in all_projections():
        assert rebuild(database, log, projection, quiet).identical, projection.name


def test_the_sample_log_holds_every_event_that_read_models_see(log: PostgresEventLog) -> None:
    head = write_a_little_of_everything(Writer(log))
    written = {recorded.event.topic for recorded in log.read(0, head).events}
    unseen = {
        event.topic
        for event in (
            CalibrationCompleted,
            CalibrationFailed,
            CopyWanted,
            FilesRemoved,
            PasswordSet,
            StorageConfigRecovered,
        )
    }
    unseen |= {topic for topic in EVENTS if topic.startswith("standing_delivery.")}  # the log itself is asked for them
    assert set(EVENTS) - unseen == written
    told = [projection for projection in all_projections() if projection.name != "audit"]  # which sees all there are
    assert frozenset().union(*(projection.topics for projection in told)) == written


def test_readers_are_answered_and_writers_go_on_while_a_read_model_is_rebuilt(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    writer = Writer(log)
    for number in range(60):
        writer.file(number, related=(basename(number + 1),))
    project_all(connection, log, database)
    runner = ProjectionRunner(database, log, all_projections())
    live = threading.Thread(target=runner.run)
    live.start()
    stop = threading.Event()
    counts: list[int] = []

    def read() -> None:
        with psycopg.connect(database, autocommit=True) as reader:
            while not stop.is_set():
                row = reader.execute(
                    "SELECT count(*) FROM read_frames.frame WHERE id > %s", (0,), prepare=True
                ).fetchone()
                counts.append(row[0])  # type: ignore[index]

    def write() -> None:
        number = 60
        while not stop.is_set():
            writer.file(number)
            runner.wake()
            number += 1

    threads = [threading.Thread(target=read), threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    try:
        frames_model = all_projections()[0]
        for _ in range(3):
            rebuilt = rebuild(database, log, frames_model, quiet)
            assert rebuilt.identical, rebuilt.tables
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        runner.stop()
        live.join()
    assert counts == sorted(counts), "a reader saw rows vanish"
    assert counts[-1] >= 60
    project_all(connection, log, database)
    assert rebuild(database, log, all_projections()[0], quiet).identical


def test_a_result_that_differs_is_not_swapped_in_when_asked_to_verify(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    write_a_little_of_everything(Writer(log))
    project_all(connection, log, database)
    connection.execute("UPDATE read_frames.frame SET target_name = 'tampered' WHERE id = 1")
    rebuilt = rebuild(database, log, all_projections()[0], quiet, keep_different=True)
    assert not rebuilt.identical
    assert rebuilt.tables["frame"][1] is False
    assert rebuilt.tables["version"][1] is True
    assert connection.execute("SELECT target_name FROM read_frames.frame WHERE id = 1").fetchone() == ("tampered",)
    assert not rebuild(database, log, all_projections()[0], quiet).identical
    assert connection.execute("SELECT target_name FROM read_frames.frame WHERE id = 1").fetchone() == ("M31",)


def test_two_rebuilds_of_one_read_model_at_once_are_refused(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    connection.execute("SELECT pg_advisory_lock(%s, hashtext('frames'))", (LOCK_KEY,))
    with pytest.raises(Conflict, match="Another rebuild"):
        rebuild(database, log, all_projections()[0], quiet)


def test_a_rebuild_that_was_killed_leaves_nothing_that_stops_the_next(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    write_a_little_of_everything(Writer(log))
    project_all(connection, log, database)

    class Killed(Exception):
        pass

    def die(position: int, upto: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        rebuild(database, log, all_projections()[0], die)
    assert rebuild(database, log, all_projections()[0], quiet).identical


class _Poisoned:
    """A read model that one event breaks."""

    name = "frames"

    def __init__(self, model: Projection) -> None:
        self.tables, self.indexes, self.topics, self._model = model.tables, model.indexes, model.topics, model
        self.version = model.version

    def apply(self, cursor, events) -> None:  # type: ignore[no-untyped-def]
        if any(event.stream == f"frame:{basename(2)}" for event in events):
            raise ValueError("poison")
        self._model.apply(cursor, events)


def test_a_poison_event_stops_its_read_model_loudly_and_the_others_go_on(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    head = write_a_little_of_everything(Writer(log))
    models = all_projections()
    runner = ProjectionRunner(database, log, [_Poisoned(models[0]), *models[1:]])
    while runner.step(connection):
        pass
    state = {
        name: (position, failure)
        for name, position, failure in connection.execute("SELECT name, position, failure FROM starferry.projection")
    }
    assert "poison" in state["frames"][1]
    assert {position for name, (position, _) in state.items() if name != "frames"} == {head}
    rebuilt = rebuild(database, log, models[0], quiet)
    assert rebuilt.position == head
    row = connection.execute("SELECT position, failure FROM starferry.projection WHERE name = 'frames'").fetchone()
    assert row == (head, "")


def test_only_one_process_projects_at_a_time(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    writer = Writer(log)
    for number in range(20):
        writer.file(number)
    runners = [ProjectionRunner(database, log, all_projections()) for _ in range(2)]
    threads = [threading.Thread(target=runner.run) for runner in runners]
    for thread in threads:
        thread.start()
    for number in range(20, 120):
        writer.file(number)
        for runner in runners:
            runner.wake()
    deadline = threading.Event()
    while not deadline.wait(0.02):
        row = connection.execute("SELECT count(*) FROM read_frames.frame").fetchone()
        if row == (120,):
            break
    held = connection.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = %s",
        (7236837101 & 0xFFFFFFFF,),
    ).fetchone()
    assert held == (1,)
    for runner in runners:
        runner.stop()
    for thread in threads:
        thread.join()
    assert rebuild(database, log, all_projections()[0], quiet).identical
