"""An event that PostgreSQL can't index breaks its read model alone, and isn't taken for an outage for ever."""

from __future__ import annotations

import psycopg
import pytest

from adapters.event_store.log import PostgresEventLog
from domain.observations import ObservationSubmitted, stream_of
from projections.observations import ObservationsProjection
from projections.runner import ProjectionRunner
from tests.integration.projections.conftest import Writer, all_projections


def submitted(project: str) -> ObservationSubmitted:
    return ObservationSubmitted(id="1", owner="ada", name="n", project=project)


def unpackable(length: int) -> str:
    """PostgreSQL compresses what it indexes; this it can't."""
    return "".join(chr(0x4E00 + (number * number * 7919 + number) % 20_000) for number in range(length))


def test_a_long_text_in_an_earlier_log_is_projected_short(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    Writer(log).write(stream_of("1"), submitted(unpackable(5000)))
    ProjectionRunner(database, log, all_projections()).catch_up()
    assert connection.execute("SELECT failure FROM starferry.projection WHERE failure <> ''").fetchall() == []
    assert connection.execute("SELECT length(project) FROM read_observations.observation").fetchone() == (200,)


def test_what_cannot_be_stored_stops_its_read_model_and_no_other(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.observations.LONGEST", 100_000)
    position = Writer(log).write(stream_of("1"), submitted(unpackable(5000)))
    ProjectionRunner(database, log, all_projections()).catch_up()
    failed = connection.execute("SELECT name FROM starferry.projection WHERE failure <> ''").fetchall()
    assert failed == [(ObservationsProjection.name,)]
    others = "SELECT min(position) FROM starferry.projection WHERE failure = ''"
    assert connection.execute(others).fetchone() == (log.head(),)
    assert position is None or position <= log.head()
