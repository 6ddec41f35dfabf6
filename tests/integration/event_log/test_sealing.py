"""When the log is sealed, by whom, and into which segments."""

from __future__ import annotations

import psycopg
import pytest

from adapters.event_store import seals
from adapters.event_store.check import LogCheck
from adapters.event_store.findings import Finding
from adapters.event_store.log import PostgresEventLog
from adapters.event_store.seals import SEAL_LOCK, Sealer
from tests.contract.event_log_harness import commit, write


def append(log: PostgresEventLog, count: int) -> None:
    first = log.head()
    for number in range(first, first + count):
        log.append(commit(write(f"s{number}", 0, "x")))


def segments(conninfo: str) -> list[tuple[int, int, int]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute("SELECT since, upto, count FROM starferry.seal ORDER BY upto").fetchall()


def make_older(conninfo: str, seconds: int) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute("UPDATE starferry.seal SET sealed_at = sealed_at - make_interval(secs => %s)", (seconds,))


def test_whole_segments_at_once_and_the_rest_when_the_last_seal_is_old(empty: str, empty_log: PostgresEventLog) -> None:
    sealer = Sealer(empty, segment=4, seconds=300)
    assert sealer.step() == 0
    append(empty_log, 2)
    assert sealer.step() == 1  # there is none yet: the first events are sealed soon
    append(empty_log, 3)
    assert sealer.step() == 0
    append(empty_log, 7)
    assert sealer.step() == 2
    assert segments(empty) == [(0, 2, 2), (2, 6, 4), (6, 10, 4)]
    make_older(empty, 301)
    assert sealer.step() == 1
    assert segments(empty)[-1] == (10, 12, 2)
    make_older(empty, 301)
    assert sealer.step() == 0


def test_an_old_log_is_sealed_a_part_at_a_time(
    empty: str, empty_log: PostgresEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seals, "AT_A_TIME", 2)
    append(empty_log, 20)
    sealer = Sealer(empty, segment=4)
    assert [sealer.step() for _ in range(4)] == [2, 2, 1, 0]


def test_only_one_process_seals_at_a_time(empty: str, empty_log: PostgresEventLog) -> None:
    append(empty_log, 2)
    with psycopg.connect(empty, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (SEAL_LOCK,))
        assert Sealer(empty).step() == 0
        other.execute("SELECT pg_advisory_unlock(%s)", (SEAL_LOCK,))
    assert Sealer(empty).step() == 1


def test_an_event_that_cannot_be_read_is_sealed_as_it_is(empty: str, empty_log: PostgresEventLog) -> None:
    """Or nothing behind it ever would be."""
    append(empty_log, 3)
    with psycopg.connect(empty) as connection:
        connection.execute("UPDATE starferry.starferry_events SET state = 'rubbish' WHERE notification_id = 2")
    assert Sealer(empty).seal_all() == 1
    findings: list[Finding] = []
    LogCheck(empty, findings.append).run()
    assert [finding.kind for finding in findings if finding.kind != "causation"] == ["unreadable"]


def test_a_log_that_ends_before_its_seals_is_not_sealed_on(empty: str, empty_log: PostgresEventLog) -> None:
    append(empty_log, 5)
    Sealer(empty).seal_all()
    with psycopg.connect(empty) as connection:
        connection.execute("DELETE FROM starferry.starferry_events WHERE notification_id > 3")
    assert Sealer(empty).seal_all() == 0
    assert segments(empty) == [(0, 5, 5)]
