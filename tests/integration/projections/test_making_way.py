"""A build notices who reads, and steps back."""

from __future__ import annotations

import os
import threading

import psycopg
import pytest

from projections import making_way
from projections.making_way import FEW, SPAN_SECONDS, Readers, last_in_line


def test_readers_are_noticed_after_a_few_looks_and_forgotten_after_a_while(
    database: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(making_way.time, "monotonic", lambda: now[0])
    readers = Readers(connection)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT count(*) FROM read_frames.frame")
        assert not readers.look(), "what was before the first look is nothing to go by"
        found = []
        for _ in range(FEW):
            other.execute("SELECT count(*) FROM read_frames.frame")
            found.append(readers.look())
        assert found == [False] * (FEW - 1) + [True]
        assert readers.look(), "for a moment they are still there"
        now[0] += SPAN_SECONDS + 0.1
        assert not readers.look()


def test_who_asks_something_else_or_writes_a_model_is_no_reader(database: str, connection: psycopg.Connection) -> None:
    readers = Readers(connection)
    with psycopg.connect(database, autocommit=True) as other:
        for _ in range(2 * FEW):
            other.execute("SELECT 1 FROM starferry.projection")
            other.execute("SET search_path TO read_frames")
            other.execute("DELETE FROM waiting")
            connection.execute("SELECT count(*) FROM read_frames.frame")  # the build itself
            assert not readers.look()


def test_a_thread_goes_to_the_end_of_the_line_alone() -> None:
    policies: list[int] = []

    def work() -> None:
        last_in_line()
        policies.append(os.sched_getscheduler(0))

    before = os.sched_getscheduler(0)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert policies == [os.SCHED_IDLE]
    assert os.sched_getscheduler(0) == before
