"""A replay is the read model as it was: built beside the live ones, which it never touches."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from adapters.event_store.log import PostgresEventLog
from domain.errors import Conflict, InvalidInput, NotFound
from projections import builds
from projections.projection import checksum_query
from projections.replay import BATCH, REPLAY_LOCK, Replayed, forget_replay, replay, replays
from projections.runner import ProjectionRunner
from tests.integration.projections.conftest import Writer, all_projections, write_a_little_of_everything
from tests.site import eventually


def quiet(model: str, position: int, upto: int) -> None:
    pass


def project_all(connection: psycopg.Connection[Any], log: PostgresEventLog, database: str) -> None:
    runner = ProjectionRunner(database, log, all_projections())
    while runner.step(connection):
        pass


def contents(connection: psycopg.Connection[Any], prefix: str) -> dict[str, object]:
    """A checksum of every table of the schemas that begin so."""
    found = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE starts_with(schemaname, %s) ORDER BY 1, 2", (prefix,)
    ).fetchall()
    return {
        f"{schema.removeprefix(prefix)}.{table}": connection.execute(checksum_query(schema, table).encode()).fetchone()
        for schema, table in found
    }


def test_a_replay_is_every_read_model_as_it_was(
    database: str, log: PostgresEventLog, connection: psycopg.Connection[Any]
) -> None:
    writer = Writer(log)
    head = write_a_little_of_everything(writer)
    project_all(connection, log, database)
    then = contents(connection, "read_")
    writer.file(3, version=7, target="changed since")
    writer.file(60)
    project_all(connection, log, database)
    now = contents(connection, "read_")
    built = replay(database, log, all_projections(), "then", head, quiet)
    assert [one.done for one in built] == [True] * len(all_projections())
    assert contents(connection, "replay_then_") == then
    assert contents(connection, "read_") == now != then


def test_the_frames_as_of_a_position_are_those_of_a_replay(
    database: str, log: PostgresEventLog, connection: psycopg.Connection[Any]
) -> None:
    head = write_a_little_of_everything(Writer(log))
    project_all(connection, log, database)
    for position in range(head // 3, head, 7):
        replay(database, log, all_projections()[:1], "then", position, quiet, replace=True)
        for table, columns in (
            ("frame", "*"),
            ("thumbnail", "*"),
            ("version", "id, frame_id, since, md5, path"),
        ):
            past = f"to_jsonb(v) - 'until' FROM (SELECT {columns} FROM read_frames.{table}_as_of({position})) v"
            then = f"to_jsonb(v) FROM (SELECT {columns} FROM replay_then_frames.{table}) v"
            differing = f"(SELECT {past} EXCEPT SELECT {then}) UNION ALL (SELECT {then} EXCEPT SELECT {past})"
            assert connection.execute(differing.encode()).fetchall() == [], (table, position)


def test_a_replay_that_was_stopped_goes_on_where_it_was(
    database: str, log: PostgresEventLog, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BATCH > 5
    monkeypatch.setattr("projections.replay.BATCH", 5)
    head = write_a_little_of_everything(Writer(log))
    project_all(connection, log, database)

    class Stopped(Exception):
        pass

    def stop(model: str, position: int, upto: int) -> None:
        if position >= 20:
            raise Stopped

    with pytest.raises(Stopped):
        replay(database, log, all_projections()[:1], "then", head, stop)
    (there,) = replays(connection)
    assert (there.position, there.done) == (20, False)
    seen: list[int] = []
    replay(database, log, all_projections()[:1], "then", head, lambda model, position, upto: seen.append(position))
    assert seen[0] == 25
    frames = {name: sum_ for name, sum_ in contents(connection, "read_").items() if name.startswith("frames.")}
    assert contents(connection, "replay_then_") == frames


def test_a_name_is_taken_until_it_is_replaced_or_forgotten(
    database: str, log: PostgresEventLog, connection: psycopg.Connection[Any]
) -> None:
    head = write_a_little_of_everything(Writer(log))
    models = all_projections()[:2]
    replay(database, log, models[:1], "then", head, quiet)
    for position in (head, head - 1):
        with pytest.raises(Conflict, match=f"a replay then as of position {head} already"):
            replay(database, log, models[:1], "then", position, quiet)
    replay(database, log, models, "then", head, quiet)  # one more read model of the same position
    replay(database, log, models[:1], "then", head - 1, quiet, replace=True)
    assert [(one.schema, one.upto) for one in replays(connection)] == [("replay_then_frames", head - 1)]
    assert forget_replay(database, "then", dry_run=True)[0].size > 0
    assert len(replays(connection)) == 1
    forget_replay(database, "then")
    assert replays(connection) == []
    assert contents(connection, "replay_") == {}
    with pytest.raises(NotFound, match="no replay then"):
        forget_replay(database, "then")


@pytest.mark.parametrize("name", ["", "Then", "a_b", "1a", "x" * 21, 'a"; DROP TABLE x', "a-b"])
def test_a_name_is_letters_and_digits(
    database: str, log: PostgresEventLog, connection: psycopg.Connection[Any], name: str
) -> None:
    with pytest.raises(InvalidInput, match="name has up to"):
        replay(database, log, [], name, 0, quiet)
    with pytest.raises(InvalidInput, match="name has up to"):
        forget_replay(database, name)


def test_two_at_once_are_refused(database: str, log: PostgresEventLog, connection: psycopg.Connection[Any]) -> None:
    connection.execute("SELECT pg_advisory_lock(%s, hashtext('then'))", (REPLAY_LOCK & 0x7FFFFFFF,))
    with pytest.raises(Conflict, match="at work"):
        replay(database, log, all_projections()[:1], "then", 0, quiet)
    replay(database, log, all_projections()[:1], "other", 0, quiet)
    assert isinstance(replays(connection)[0], Replayed)


def test_one_whose_end_the_database_has_not_seen_yet_is_waited_for(
    database: str, log: PostgresEventLog, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "LOCK_MILLISECONDS", 60_000)
    connection.execute("SELECT pg_advisory_lock(%s, hashtext('then'))", (REPLAY_LOCK & 0x7FFFFFFF,))
    replaying = threading.Thread(target=replay, args=(database, log, all_projections()[:1], "then", 0, quiet))
    replaying.start()
    eventually(
        lambda: connection.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone(),
        "the second one doesn't wait",
    )
    connection.execute("SELECT pg_advisory_unlock_all()")
    replaying.join()
    assert [one.done for one in replays(connection)] == [True]
