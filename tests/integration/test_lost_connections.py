"""What the event log makes of a database that goes away, or isn't as it must be."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.group_commit import GroupCommitLog
from adapters.event_store.log import PostgresEventLog
from adapters.event_store.numbers import BlockNumbers
from adapters.postgres.migrate import migrate
from domain.errors import Misconfigured, RetryLater
from tests.contract.event_log_harness import commit, postgres_log, texts, write
from tests.integration.waiting import Started, until


@pytest.fixture
def log(database: str) -> Iterator[PostgresEventLog]:
    with postgres_log(database) as log:
        yield log


def cut(conninfo: str) -> int:
    """End all connections to a database, as a restart or a failing network would; their number."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert ended is not None
    return int(ended[0])


class TestLostConnections:
    def test_an_append_on_a_lost_connection_is_to_be_tried_again_and_then_goes_in(
        self, database: str, log: PostgresEventLog
    ) -> None:
        log.append(commit(write("s", 0, "a")))
        assert cut(database) >= 1
        with pytest.raises(RetryLater, match=r"The database can't be reached at the moment\."):
            log.append(commit(write("s", 1, "b")))
        log.append(commit(write("s", 1, "b")))
        assert texts(log.load("s")) == ["a", "b"]

    def test_one_failure_clears_the_pool_of_all_that_died(self, database: str, log: PostgresEventLog) -> None:
        start = threading.Barrier(6)

        def hold() -> None:
            with log.datastore.get_connection():
                start.wait(10)

        for thread in [Started(hold) for _ in range(6)]:
            thread.finish()
        assert cut(database) >= 6
        with pytest.raises(RetryLater):
            log.append(commit(write("s", 0, "a")))
        for number in range(6):
            log.append(commit(write("s", number, "a")))

    @pytest.mark.parametrize(
        "read",
        [
            lambda log: log.head(),
            lambda log: log.read(0, 10).upto,
            lambda log: len(log.load("s")),
            lambda log: len(log.claimed(["c"])),
            lambda log: log.checkpoint("policy"),
        ],
        ids=["head", "read", "load", "claimed", "checkpoint"],
    )
    def test_reading_mends_itself(
        self, database: str, log: PostgresEventLog, read: Callable[[PostgresEventLog], int]
    ) -> None:
        log.append_tracked([commit(write("s", 0, "a"), claims=["c"])], "policy", 1)
        cut(database)
        assert read(log) == 1

    def test_a_tracked_append_and_the_numbers_are_to_be_tried_again(self, database: str, log: PostgresEventLog) -> None:
        numbers = BlockNumbers(log.datastore)
        log.head()
        cut(database)
        with pytest.raises(RetryLater):
            log.append_tracked([commit(write("s", 0, "a"))], "policy", 1)
        log.append_tracked([commit(write("s", 0, "a"))], "policy", 1)
        cut(database)
        with pytest.raises(RetryLater):
            numbers.take()
        until(lambda: _answers(lambda: numbers.take() == 1))

    def test_a_group_that_waits_for_a_lost_connection_is_to_be_tried_again(self, database: str) -> None:
        async def scenario() -> list[int | BaseException]:
            pool = AsyncConnectionPool(
                database, min_size=1, max_size=1, kwargs={"autocommit": True}, open=False, timeout=5
            )
            await pool.open(wait=True)
            try:
                log = GroupCommitLog(pool)
                with psycopg.connect(database) as blocker:
                    blocker.execute("SELECT pg_advisory_xact_lock(7236837104)")
                    waiting = [asyncio.ensure_future(log.append(commit(write(f"s{n}", 0, "a")))) for n in range(4)]
                    while not await asyncio.to_thread(_waits_for_the_lock, blocker):
                        await asyncio.sleep(0.005)
                    await asyncio.to_thread(_end_others, blocker)
                    results = await asyncio.gather(*waiting, return_exceptions=True)
                assert await log.append(commit(write("later", 0, "b"))) > 0
                return results
            finally:
                await pool.close()

        assert all(isinstance(result, RetryLater) for result in asyncio.run(asyncio.wait_for(scenario(), 30)))

    def test_a_server_that_takes_no_writes_is_to_be_tried_again(self, database: str, log: PostgresEventLog) -> None:
        """As after a failover to a standby that isn't promoted yet."""
        with psycopg.connect(database, autocommit=True) as connection:
            name = conninfo_to_dict(database)["dbname"]
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
            cut(database)
            with pytest.raises(RetryLater):
                log.append(commit(write("s", 0, "a")))  # the connection is lost
            with pytest.raises(RetryLater):
                log.append(commit(write("s", 0, "a")))  # the new one can't write

    def test_a_log_whose_database_is_not_there_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("adapters.event_store.recorder.CONNECT_SECONDS", 0.5)
        began = time.monotonic()
        with pytest.raises(RetryLater):
            PostgresEventLog(f"host={tmp_path} dbname=nothing user=nobody")
        assert time.monotonic() - began < 30


class TestSettings:
    def test_all_that_the_connection_string_says_reaches_the_logs_connections(self, database: str) -> None:
        with postgres_log(f"{database} application_name=starferry-test options='-c work_mem=7MB'") as log:
            row = log._select("SELECT current_setting('application_name'), current_setting('work_mem')", ())
        assert row == [("starferry-test", "7MB")]

    def test_an_isolation_that_would_blind_the_guards_is_refused(self, database: str) -> None:
        options = "options='-c default_transaction_isolation=serializable'"
        with postgres_log(f"{database} {options}") as log, pytest.raises(Exception, match="read committed only"):
            log.append(commit(write("s", 0, "a")))

    def test_a_database_of_a_newer_program_is_left_alone(self, database: str) -> None:
        assert migrate(database) == []
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("INSERT INTO starferry.migration VALUES ('9999_future')")
        with pytest.raises(Misconfigured, match="9999_future"):
            migrate(database)


def _answers(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except RetryLater:
        return False


def _waits_for_the_lock(connection: psycopg.Connection) -> bool:
    return bool(connection.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchall())


def _end_others(connection: psycopg.Connection) -> None:
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
