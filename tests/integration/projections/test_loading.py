"""What is loaded in bulk is what comes of one event after another, in whatever order things happened."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.event_store.log import PostgresEventLog
from adapters.sky.spherical_sky import SphericalSky
from application.ports.event_log import Commit, Write
from domain import frames
from domain.errors import RetryLater
from domain.event import Cause, Event
from domain.footprint import Footprint
from domain.frame_record import FrameRecord
from domain.frames import (
    FileDeletedFromServer,
    FileProcessed,
    FrameAmended,
    FrameDeleted,
    FrameVersion,
    RelatedFramesChanged,
)
from domain.thumbnails import Thumbnail, ThumbnailAdded, ThumbnailRemoved
from projections import loading
from projections.frames.projection import FramesProjection
from projections.loading import create_indexes, load
from projections.making_way import Readers
from projections.projection import Cursor, checksum_query
from projections.rebuild import rebuild
from projections.runner import build_schema
from tests.integration.projections.conftest import START, Writer, write_a_little_of_everything
from tests.integration.projections.test_rebuild import contents, project_all, quiet

MODEL = FramesProjection(SphericalSky())
SQUARE = Footprint((((10.0, 1.0), (190.5, 1.0), (190.5, 1.5), (10.0, 1.5), (10.0, 1.0)),))
FRAMES = 5
PAST_TABLES = ("past_frame", "past_version", "past_thumbnail", "past_link")
TABLES = ("frame", "version", "thumbnail", "link", "waiting", *PAST_TABLES)
_runs = itertools.count()


class Step(NamedTuple):
    """One thing that happens: `who` and `other` are frames, `number` chooses a picture or a version."""

    kind: str
    who: int
    other: int
    number: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from("file file file amend picture no-picture gone-file delete delete relate relate".split()),
        st.integers(0, FRAMES - 1),
        st.integers(0, FRAMES - 1),
        st.integers(0, 2),
    ),
    min_size=5,
    max_size=30,
)


class Story:
    """Writes what happens to a few frames that no other story has; what can't happen doesn't."""

    def __init__(self, log: PostgresEventLog) -> None:
        self._log = log
        self._run = next(_runs) + 1
        self._versions: dict[str, int] = {}
        self._there: set[int] = set()
        self._files: dict[int, list[FrameVersion]] = {}
        self._ids = itertools.count(self._run * 10_000)
        self._frame_ids: dict[int, int] = {}

    def tell(self, steps: Sequence[Step]) -> None:
        for step in steps:
            event = self._event(step)
            if event is None:
                continue
            stream = frames.stream_of(self._name(step.who))
            expected = self._versions.get(stream, 0)
            self._versions[stream] = expected + 1
            self._log.append(
                Commit(writes=(Write(stream, expected, (event,)),), cause=Cause(actor="tester", via="cli"), at=START)
            )

    def _name(self, number: int) -> str:
        return f"frame-{self._run}-{number}"

    def _event(self, step: Step) -> Event | None:
        who = step.who
        if step.kind in ("file", "amend"):
            return self._arrival(step)
        if who not in self._there:
            return None
        frame_id, names = self._frame_ids[who], (self._name(step.other),)
        picture = Thumbnail(
            id=self._run * 10 + step.number, basename=f"p{step.number}", extension=".jpg", size="small", key=names[0]
        )
        match step.kind:
            case "picture":
                return ThumbnailAdded(frame_id=frame_id, thumbnail=picture)
            case "no-picture":
                return ThumbnailRemoved(frame_id=frame_id, thumbnail=picture)
            case "gone-file" if self._files[who]:
                one = self._files[who][step.number % len(self._files[who])]
                return FileDeletedFromServer(frame_id=frame_id, version_id=one.id, path="", key="", justified_by=())
            case "relate":
                if step.number:
                    return RelatedFramesChanged(frame_id=frame_id, added=names)
                return RelatedFramesChanged(frame_id=frame_id, removed=names)
            case "delete":
                self._there.remove(who)
                return FrameDeleted(frame_id=frame_id, versions=tuple(self._files[who]))
            case _:
                return None

    def _arrival(self, step: Step) -> Event:
        who = step.who
        if who not in self._there:
            self._there.add(who)
            self._frame_ids[who] = next(self._ids)
            self._files[who] = []
        record = FrameRecord(
            basename=self._name(who),
            observation_date=START if step.number else None,
            target_name=("", "M31", "Ñandú")[step.number],
            area=SQUARE if step.number == 1 else None,
            related=(self._name(step.other), self._name((step.other + 1) % FRAMES)),
        )
        if step.kind == "amend":
            headers = msgspec.Raw(b'{"USERID":"ada"}' if step.number else b"null")
            return FrameAmended(frame_id=self._frame_ids[who], record=record, headers=headers)
        new = FrameVersion(id=next(self._ids), key=f"k{step.number}", md5="m", extension=".fits")
        self._files[who].append(new)
        return FileProcessed(frame_id=self._frame_ids[who], record=record, headers=msgspec.Raw(b"{}"), versions=(new,))


DELETED_BEFORE_IT_IS_NAMED = [Step("file", 1, 2, 1), Step("delete", 1, 1, 0), Step("file", 0, 1, 1)]


def new_schema(connection: psycopg.Connection, name: str) -> str:
    connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    with connection.transaction():
        build_schema(connection, MODEL, name, with_indexes=False)
    return name


def rows(connection: psycopg.Connection, schema: str) -> dict[str, object]:
    return {table: connection.execute(checksum_query(schema, table)).fetchone() for table in TABLES}


def step_by_step(connection: psycopg.Connection, log: PostgresEventLog, schema: str, position: int, upto: int) -> None:
    for recorded in log.read(position, 1000, upto=upto, topics=MODEL.topics).events:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL search_path TO {schema}")
            MODEL.apply(cursor, [recorded])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, stretch=st.integers(2, 12))
@example(steps=DELETED_BEFORE_IT_IS_NAMED, stretch=12)
@example(steps=[*DELETED_BEFORE_IT_IS_NAMED, Step("file", 1, 3, 0), Step("relate", 1, 0, 1)], stretch=12)
def test_a_load_gives_the_rows_of_one_event_after_another(
    steps: list[Step], stretch: int, database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    before = log.head()
    Story(log).tell(steps)
    upto = log.head()
    loaded, single = new_schema(connection, "loaded"), new_schema(connection, "single")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loading, "STRETCH", stretch)
        assert [before, *load(connection, log, MODEL, loaded, before, upto)][-1] == upto
    step_by_step(connection, log, single, before, upto)
    assert rows(connection, loaded) == rows(connection, single)


def test_what_is_loaded_with_processes_is_the_same(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MANY", 1)
    write_a_little_of_everything(Writer(log))
    project_all(connection, log, database)
    before = contents(connection)
    assert rebuild(database, log, MODEL, quiet).identical
    assert contents(connection) == before


@pytest.mark.parametrize("reading", [True, False])
def test_a_build_while_somebody_reads_is_the_same_and_prepares_less_ahead(
    database: str,
    log: PostgresEventLog,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    reading: bool,
) -> None:
    monkeypatch.setattr(loading, "STRETCH", 2)
    monkeypatch.setattr(Readers, "look", lambda _: reading)
    made = [0]

    def made_now(*arguments: Any) -> Any:
        made[0] += 1
        return _make(*arguments)

    _make = loading._make
    monkeypatch.setattr(loading, "_make", made_now)
    write_a_little_of_everything(Writer(log))
    project_all(connection, log, database)
    before = contents(connection)
    ahead: list[int] = []
    for number, _ in enumerate(load(connection, log, MODEL, new_schema(connection, "loaded"), 0, log.head(),
                                    somebody_reads=lambda: reading)):  # fmt: skip
        ahead.append(made[0] - number - 1)
    assert max(ahead) <= (1 if reading else loading.AHEAD)
    assert rebuild(database, log, MODEL, quiet).identical
    assert contents(connection) == before


def test_a_process_that_is_killed_ends_the_load_with_a_reason(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MANY", 1)
    monkeypatch.setattr(loading, "_make_here", _die)
    Writer(log).file(1)
    with pytest.raises(RetryLater, match="killed"):
        list(load(connection, log, MODEL, new_schema(connection, "loaded"), 0, log.head()))


def _die(after: int, upto: int) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def test_a_row_that_is_there_already_is_taken_as_the_live_model_takes_it(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    """Two streams that begin with the same version: the first one stays."""
    writer = Writer(log)
    writer.file(1)
    again = FileProcessed(
        frame_id=77,
        record=FrameRecord(basename="other"),
        headers=msgspec.Raw(b"{}"),
        versions=(FrameVersion(id=101, key="other", md5="other", extension=".fits"),),
    )
    writer.write(frames.stream_of("other"), again)
    loaded, single = new_schema(connection, "loaded"), new_schema(connection, "single")
    list(load(connection, log, MODEL, loaded, 0, log.head()))
    step_by_step(connection, log, single, 0, log.head())
    assert rows(connection, loaded) == rows(connection, single)
    assert connection.execute("SELECT frame_id FROM loaded.version WHERE id = 101").fetchone() == (2,)


def test_positions_are_recorded_with_the_rows_that_they_stand_for(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "STRETCH", 3)
    writer = Writer(log)
    for number in range(8):
        writer.file(number)
    schema = new_schema(connection, "loaded")
    found = []

    def record(cursor: Cursor, position: int) -> None:
        cursor.execute(f"SELECT %s, count(*) FROM {schema}.frame".encode(), (position,))
        found.extend(cursor.fetchall())

    reached = list(load(connection, log, MODEL, schema, 0, log.head(), record))
    assert reached == [3, 6, 8]
    assert found == [(3, 3), (6, 6), (8, 8)]


def test_all_indexes_are_made_also_after_a_first_try_that_was_stopped(
    database: str, connection: psycopg.Connection
) -> None:
    schema = new_schema(connection, "loaded")
    connection.execute(f"CREATE INDEX frame_target ON {schema}.frame (target_name, observation_date DESC, id DESC)")
    create_indexes(database, MODEL, schema)
    statement = "SELECT indexname FROM pg_indexes WHERE schemaname = %s ORDER BY 1"
    made = connection.execute(statement, (schema,)).fetchall()
    assert made == connection.execute(statement, ("read_frames",)).fetchall()
