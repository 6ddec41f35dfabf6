"""Read models gather what isn't waited for, and hurry when somebody waits (docs/adr/0047)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.follow import Wakeup
from adapters.event_store.log import PostgresEventLog
from api import read_gate
from api.read_gate import ReadGate
from domain.errors import RetryLater
from projections import lookups, runner
from projections.awaited import CHANNEL
from projections.lookups import wait_for
from tests.integration.projections.conftest import Writer, all_projections

HOUR = 3600.0


@pytest.fixture
def behind(
    database: str, log: PostgresEventLog, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """The position of an event that the read models leave for a batch an hour later."""
    monkeypatch.setattr(runner, "GATHER_SECONDS", HOUR)
    monkeypatch.setattr(lookups, "WAIT_SECONDS", 60.0)
    monkeypatch.setattr(read_gate, "WAIT_SECONDS", 60.0)
    writer = Writer(log)
    first = writer.file(1)
    projecting, wakeup = runner.ProjectionRunner(database, log, all_projections()), Wakeup(database)
    wakeup.on_growth(projecting.wake)
    wakeup.on_message(CHANNEL, lambda _: projecting.hurry())
    listening = threading.Event()
    wakeup.on_growth(listening.set)  # told when it has begun to listen, too
    thread = threading.Thread(target=projecting.run)
    wakeup.start()
    assert listening.wait(30)
    thread.start()
    try:
        wait_for(connection, "frames", first, hurry=False)
        yield writer.file(2)
    finally:
        wakeup.stop()
        projecting.stop()
        thread.join(10)
        assert not thread.is_alive()


def test_whoever_waits_in_a_policy_or_a_command_is_not_kept(connection: psycopg.Connection, behind: int) -> None:
    wait_for(connection, "frames", behind)


def test_a_request_that_reads_its_own_write_is_not_kept(database: str, behind: int) -> None:
    async def read() -> bool:
        async with AsyncConnectionPool[psycopg.AsyncConnection](
            database, min_size=1, kwargs={"autocommit": True}, open=False
        ) as pool:
            return await ReadGate(pool).reached(behind)

    assert asyncio.run(read())


def test_what_has_time_gathers(connection: psycopg.Connection, behind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "WAIT_SECONDS", 0.2)
    with pytest.raises(RetryLater):
        wait_for(connection, "frames", behind, hurry=False)
