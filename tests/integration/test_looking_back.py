"""`starferry events state` and `starferry events replay`, as an operator gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from adapters.event_store.log import PostgresEventLog
from api.cli import cli
from domain.errors import InvalidInput, NotFound, StarferryError
from projections.runner import ProjectionRunner
from tests.integration.projections.conftest import (
    START,
    Writer,
    all_projections,
    basename,
    connection,  # noqa: F401
    log,  # noqa: F401
    write_a_little_of_everything,
)

Starferry = Callable[..., str]


@pytest.fixture
def starferry(database: str, tmp_path: Path) -> Starferry:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(
            cli, [*arguments, "--data", str(tmp_path)], env={"DATABASE_URL": database, "COLUMNS": "120"}
        )
        if isinstance(done.exception, StarferryError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_the_state_of_every_kind_of_thing_is_told(log: PostgresEventLog, starferry: Starferry) -> None:  # noqa: F811
    write_a_little_of_everything(Writer(log))
    for kind, name, field in (
        ("frame", basename(3), "record"),
        ("transfer", "v1-cfg-1", "status"),
        ("observation", "700", "destinations"),
        ("storage_config", "cfg-1", "settings"),
        ("account", "ada", "proposals"),
        ("organization", "g1", "members"),
        ("project", "g1", "members"),
        ("webhook", "hook-1", "host"),
        ("mail_notices", "ada", "enabled"),
    ):
        assert field in json.loads(starferry("events", "state", kind, name))["state"], kind


def test_a_state_is_that_of_its_position_or_time(log: PostgresEventLog, starferry: Starferry) -> None:  # noqa: F811
    writer = Writer(log)
    writer.file(1)
    first, when = writer.file(2, target="first"), writer.now
    writer.file(2, version=1, target="second")

    def target(*at: str) -> str:
        told: str = json.loads(starferry("events", "state", "frame", basename(2), "--json", *at))["state"]["record"][
            "target_name"
        ]
        return told

    assert target() == "second"
    assert target("--at", str(first)) == target("--at", when.isoformat()) == "first"
    with pytest.raises(NotFound, match=f"didn't exist yet: its first event, at position {first}, was recorded 2026"):
        starferry("events", "state", "frame", basename(2), "--at", str(first - 1))
    with pytest.raises(NotFound, match="There is no frame nosuch, and never was"):
        starferry("events", "state", "frame", "nosuch", "--at", "1")
    with pytest.raises(InvalidInput, match="Enter a position of the log, or a date/time"):
        starferry("events", "state", "frame", basename(2), "--at", "yesterday")
    assert '"headers"' not in starferry("events", "state", "frame", basename(2))
    whole = json.loads(starferry("events", "state", "frame", basename(2), "--headers"))
    assert whole["state"]["headers"] == {"OBJECT": "second"}


def test_read_models_are_replayed_listed_and_forgotten(
    database: str,
    log: PostgresEventLog,  # noqa: F811
    connection: psycopg.Connection,  # noqa: F811
    starferry: Starferry,
) -> None:
    writer = Writer(log)
    writer.file(1)
    writer.file(2)
    writer.file(2, version=1, target="later")
    runner = ProjectionRunner(database, log, all_projections())
    while runner.step(connection):
        pass
    assert starferry("events", "replays").strip() == "There are none."
    then = (START + timedelta(seconds=2)).isoformat()
    told = starferry("events", "replay", "--to", then, "--into", "check", "--model", "frames", "--model", "facets")
    assert told.startswith("As of position 2, the last event of which was recorded 2026-11-01 03:00:02Z:")
    assert "replay_check_frames" in told
    changed = connection.execute(
        "SELECT l.target_name, t.target_name FROM read_frames.frame l JOIN replay_check_frames.frame t USING (id) "
        "WHERE l.target_name <> t.target_name"
    ).fetchall()
    assert changed == [("later", "M31")]
    listed = starferry("events", "replays")
    assert "replay_check_facets" in listed
    assert "complete" in listed
    assert "would drop replay_check_facets" in starferry("events", "forget-replay", "check", "--dry-run")
    assert "dropped replay_check_frames" in starferry("events", "forget-replay", "check")
    assert starferry("events", "replays").strip() == "There are none."
    with pytest.raises(InvalidInput, match="There is no read model planets; there are frames, facets"):
        starferry("events", "replay", "--to", "2", "--into", "check", "--model", "planets")
    with pytest.raises(InvalidInput, match="positions are 0 to 3"):
        starferry("events", "replay", "--to", "4", "--into", "check")


def test_the_statements_of_the_operators_guide_can_be_run(
    database: str,
    log: PostgresEventLog,  # noqa: F811
    connection: psycopg.Connection,  # noqa: F811
    starferry: Starferry,
) -> None:
    head = write_a_little_of_everything(Writer(log))
    runner = ProjectionRunner(database, log, all_projections())
    while runner.step(connection):
        pass
    starferry("events", "replay", "--to", str(head), "--into", "check")
    guide = (Path(__file__).resolve().parents[2] / "docs" / "operating.md").read_text()
    section = guide.split("## Time travel")[1].split("\n## ")[0]
    statements = [
        statement
        for block in re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
        for statement in block.split(";")
        if statement.strip()
    ]
    assert len(statements) == 4
    for statement in statements:
        connection.execute(statement.replace("41230", str(head)).encode()).fetchall()
