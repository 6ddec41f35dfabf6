"""A database of an earlier program: its transfers read model has other columns, and fills again by itself."""

from __future__ import annotations

import psycopg

from adapters.event_store.log import PostgresEventLog
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
