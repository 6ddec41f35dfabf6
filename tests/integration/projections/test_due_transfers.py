"""What the sweep finds due in the real read model (S57), beside those that wait for a place (S59) and checks (S60)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
from psycopg_pool import ConnectionPool

from adapters.event_store.log import PostgresEventLog
from adapters.jobs.waiting import WaitingTransfers
from domain import transfers
from domain.event import Event
from domain.transfer_events import (
    TransferChecked,
    TransferCheckFailed,
    TransferCheckRequested,
    TransferHeld,
)
from projections.lookups import ReadModelLookups
from projections.runner import ProjectionRunner
from tests.fakes.samples import completed, started, transfer_requested
from tests.integration.projections.conftest import Writer, all_projections

SOON = datetime.now(UTC) + timedelta(days=1)


def test_s57_due_are_those_that_nobody_nudged_and_that_wait_nowhere(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    writer = Writer(log)

    def transfer(number: int, *events: Event) -> str:
        requested = transfer_requested(number, "cfg")
        writer.write(transfers.stream_of(requested.id), requested, *events)
        return requested.id

    done = (started(), completed())
    asked = TransferCheckRequested()
    failed = TransferCheckFailed(failures=1, reason="r", error="e", next_check_at=SOON)
    pending = transfer(1)
    parked = transfer(2)
    check = transfer(3, *done, asked)
    transfer(4, *done)
    transfer(5, *done, asked, failed)
    transfer(6, *done, asked, TransferChecked(outcome="verified"))
    transfer(7, TransferHeld(reason="r"))
    connection.execute(
        "INSERT INTO starferry.waiting_transfer (transfer, storage_config) VALUES (%s, 'cfg')", (parked,)
    )
    far, soon = transfer(8), transfer(9)
    connection.execute(
        "INSERT INTO starferry.waiting_transfer (transfer, storage_config, due_at) "
        "VALUES (%s, 'cfg', now() + interval '3 years'), (%s, 'cfg', now() + interval '50 seconds')",
        (far, soon),
    )
    runner = ProjectionRunner(database, log, all_projections())
    while runner.step(connection):
        pass
    with ConnectionPool(database, min_size=1, kwargs={"autocommit": True}) as pool:
        lookups = ReadModelLookups(pool)
        assert lookups.due_transfers() == [pending, check, far], "a clock was wrong when `far` was put off"
        WaitingTransfers(pool).put({far: ("cfg", None)})
        assert lookups.due_transfers() == [pending, check]
        found = lookups.completed_transfers(storage_config="cfg", at_least=log.head())
        assert found == [f"v{number}-cfg" for number in (3, 4, 5, 6)]
        assert lookups.completed_transfers(observation="obs", at_least=log.head()) == found
        assert lookups.completed_transfers(observation="other", at_least=log.head()) == []
