"""A database of an earlier program: its transfers read model has other columns, and fills again by itself."""

from __future__ import annotations

import psycopg

from adapters.event_store.log import PostgresEventLog
from adapters.jobs.queue import create_schema
from adapters.postgres.migrate import migrate
from projections.rebuild import rebuild
from projections.runner import ProjectionRunner, create_missing
from tests.integration.projections.conftest import Writer, all_projections, write_a_little_of_everything

MIGRATION = "0009_transfer_limits"


def test_migration_0009_makes_the_transfers_read_model_anew(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    write_a_little_of_everything(Writer(log))
    runner = ProjectionRunner(database, log, all_projections())
    while runner.step(connection):
        pass
    before = connection.execute("SELECT * FROM read_transfers.transfer ORDER BY number").fetchall()
    assert before
    connection.execute("ALTER TABLE read_transfers.transfer DROP COLUMN copy, DROP COLUMN checking")
    connection.execute("DROP TABLE starferry.waiting_transfer, starferry.destination_pace")
    connection.execute("DELETE FROM starferry.migration WHERE name = %s", (MIGRATION,))
    assert migrate(database) == [MIGRATION]
    create_missing(connection, all_projections())
    while runner.step(connection):
        pass
    assert connection.execute("SELECT * FROM read_transfers.transfer ORDER BY number").fetchall() == before
    transfers = next(model for model in all_projections() if model.name == "transfers")
    assert rebuild(database, log, transfers, lambda *_: None).identical


def test_migration_0015_lets_the_jobs_of_an_earlier_program_wait_by_destination(
    database: str, connection: psycopg.Connection
) -> None:
    create_schema(database)
    connection.execute("DROP FUNCTION starferry.waited_for, starferry.take_waiting")
    connection.execute("ALTER TABLE starferry.waiting_transfer DROP COLUMN due_at")
    connection.execute("CREATE INDEX waiting_transfer_order ON starferry.waiting_transfer (storage_config, since)")
    connection.execute("DELETE FROM starferry.migration WHERE name = '0015_transfers_wait_by_destination'")
    connection.execute("INSERT INTO starferry.waiting_transfer (transfer, storage_config) VALUES ('v1-cfg-a', 'cfg-a')")
    connection.execute("SET search_path TO procrastinate")
    connection.execute(
        "INSERT INTO procrastinate.procrastinate_jobs (queue_name, task_name, args, scheduled_at) VALUES "
        "('transfers', 'carry_transfer', '{\"transfer\": \"v1-cfg-a\"}', NULL),"
        "('transfers', 'carry_transfer', '{\"transfer\": \"v2-cfg-b\"}', '2100-01-01 00:00Z'),"
        "('transfers', 'carry_transfer', '{\"transfer\": \"v3-cfg-b\"}', NULL),"
        "('notices', 'send_notice', '{\"notice\": \"n\"}', NULL)"
    )
    assert migrate(database) == ["0015_transfers_wait_by_destination"]
    rows = "SELECT transfer, storage_config, due_at <= now() FROM starferry.waiting_transfer ORDER BY transfer"
    assert connection.execute(rows).fetchall() == [
        ("v1-cfg-a", "cfg-a", True),
        ("v2-cfg-b", "cfg-b", False),
        ("v3-cfg-b", "cfg-b", True),
    ]
    left = connection.execute("SELECT queue_name FROM procrastinate.procrastinate_jobs").fetchall()
    assert left == [("notices",)]
