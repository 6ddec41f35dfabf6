"""Followers of the log are woken whenever it grows, whatever happens to the connection that listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from adapters.event_store.follow import Wakeup
from adapters.event_store.log import PostgresEventLog
from tests.contract.event_log_harness import commit, postgres_log, write
from tests.integration.waiting import until


@pytest.fixture
def log(database: str) -> Iterator[PostgresEventLog]:
    with postgres_log(database) as log:
        yield log


class TestWakeup:
    POLL = 0.05

    @pytest.fixture
    def rings(self, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
        monkeypatch.setattr("adapters.event_store.follow.POLL_SECONDS", self.POLL)
        rings: list[float] = []
        wakeup = Wakeup(database)
        wakeup.on_growth(_fail)  # it doesn't keep the others from being called
        wakeup.on_growth(lambda: rings.append(time.monotonic()))
        wakeup.start()
        yield rings
        wakeup.stop()
        assert not any(thread.name == "listen-starferry_events" for thread in threading.enumerate())

    def test_rings_at_once_when_the_log_grows(
        self, log: PostgresEventLog, rings: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        until(lambda: bool(rings))
        monkeypatch.setattr("adapters.event_store.follow.POLL_SECONDS", 60.0)
        # the short wait that may have begun before rings once without a reason
        count = len(rings)
        until(lambda: len(rings) > count)
        for number in range(3):
            before = len(rings)
            log.append(commit(write(f"s{number}", 0, "a")))
            until(lambda before=before: len(rings) > before, 10)  # type: ignore[misc]
        monkeypatch.setattr("adapters.event_store.follow.POLL_SECONDS", 0.05)
        log.append(commit(write("end", 0, "a")))  # ends the long wait

    def test_rings_when_it_has_begun_to_listen_for_what_came_before(
        self, database: str, log: PostgresEventLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("adapters.event_store.follow.POLL_SECONDS", 60.0)
        wakeup, rung = Wakeup(database), threading.Event()
        wakeup.on_growth(rung.set)
        wakeup.start()
        try:
            assert rung.wait(10)
        finally:
            monkeypatch.setattr("adapters.event_store.follow.POLL_SECONDS", 0.05)
            log.append(commit(write("end", 0, "a")))  # ends the long wait
            wakeup.stop()

    def test_misses_no_growth_while_its_connection_is_killed_again_and_again(
        self, database: str, log: PostgresEventLog, rings: list[float]
    ) -> None:
        """After each append, and whatever happened to the connection, it rings."""
        for number in range(20):
            if number % 3 != 2:
                _cut_listeners(database)
            log.append(commit(write(f"s{number}", 0, "a")))
            appended = time.monotonic()
            until(lambda appended=appended: bool(rings) and rings[-1] > appended)  # type: ignore[misc]

    def test_listens_again_after_its_connection_was_killed(
        self, database: str, log: PostgresEventLog, rings: list[float]
    ) -> None:
        until(lambda: _cut_listeners(database) == 1)
        until(lambda: _listeners(database) == 1)


def _fail() -> None:
    raise ValueError("a callback's own fault")


_LISTENING = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"


def _listeners(conninfo: str) -> int:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return len(connection.execute(f"SELECT pid {_LISTENING}".encode()).fetchall())


def _cut_listeners(conninfo: str) -> int:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return len(connection.execute(f"SELECT pg_terminate_backend(pid) {_LISTENING}".encode()).fetchall())
