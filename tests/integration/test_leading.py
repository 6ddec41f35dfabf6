"""One process leads and another stands by, on one database."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest

from api.cli import leading
from api.cli.leading import lead
from api.cli.stopping import Stop
from tests.integration.waiting import Started, until

LOCK = 42


class Candidate:
    """A process's work: waits until it is to look, and notes how often it began."""

    def __init__(self, database: str) -> None:
        self.begun = 0
        self.leads = threading.Event()
        self._look = threading.Event()
        self._stop = Stop()
        self._thread = Started(lambda: lead(database, LOCK, self._work, self._stop))

    def _work(self, held: Callable[[], None]) -> None:
        self.begun += 1
        self.leads.set()
        try:
            while not self._stop.is_set():
                held()
                self._look.wait(10)
                self._look.clear()
        finally:
            self.leads.clear()

    def look(self) -> None:
        self._look.set()

    def end(self) -> None:
        self._stop.set()
        self.look()
        self._thread.finish()


def test_one_leads_and_a_lost_session_hands_over(database: str) -> None:
    first = Candidate(database)
    assert first.leads.wait(10)
    second = Candidate(database)
    try:
        with psycopg.connect(database, autocommit=True) as connection:
            until(lambda: _sessions(connection) == 2)
            assert not second.leads.is_set()
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database "
                "WHERE locktype = 'advisory' AND datname = current_database()"
            )
            assert second.leads.wait(10)
            first.look()
            until(lambda: not first.leads.is_set())  # at its next look, not at the end of its work
            until(lambda: _sessions(connection) == 2)
        assert (first.begun, second.begun) == (1, 1)
        second.end()
        assert first.leads.wait(10), "the one that stood by takes over"
    finally:
        first.end()
        second.end()


def test_work_that_two_may_do_is_asked_about_its_lock_once_in_a_while(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(leading.time, "monotonic", lambda: now[0])

    def work(held: Callable[[], None]) -> None:
        held()
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                (LOCK,),
            )
        now[0] += 0.9
        held()  # it was there a moment ago
        now[0] += 0.2
        with pytest.raises(psycopg.OperationalError):
            held()

    lead(database, LOCK, work, Stop(), look_seconds=1.0)


def _sessions(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchone()
    assert row is not None
    assert isinstance(row[0], int)
    return row[0]
