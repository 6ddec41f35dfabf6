"""What the audit read model finds is what a look at every event finds, and never more than it knows of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from adapters.event_store.log import PostgresEventLog
from application.event_search import SLACK, EventSearch
from application.ports.audit import EventFilter
from application.ports.event_log import Commit, Write
from domain.accounts import PasswordSet
from domain.errors import RetryLater
from domain.event import Cause, Event, Recorded
from domain.transfer_events import TransferHeld, TransferReleased
from projections import lookups
from projections.audit import projection, queries
from projections.audit.projection import AuditProjection
from projections.audit.queries import AuditIndex
from projections.runner import ProjectionRunner

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
STEP = timedelta(seconds=40)
EVENTS = 120


@pytest.fixture
def search(database: str, log: PostgresEventLog) -> Iterator[EventSearch]:
    with ConnectionPool(database, min_size=1, max_size=2, kwargs={"autocommit": True}) as pool:
        yield EventSearch(log, AuditIndex(pool))


def fill(log: PostgresEventLog, chance: Random, count: int = EVENTS) -> None:
    """Events whose times are out of order by less than SLACK, of few people and many requests."""
    versions: dict[str, int] = {}
    begun = log.head()
    for number in range(begun, begun + count):
        stream = f"transfer:v{chance.randrange(9)}-cfg"
        cause = Cause(
            actor=chance.choice(["ada", "bea", "policy:X", "nul\0l"]),
            via=chance.choice(["api", "policy"]),
            correlation=chance.choice(["", "request-1", "request-2", f"own-{number:06d}"]),
        )
        jitter = SLACK * chance.random() * 0.99
        event: Event = chance.choice([TransferHeld(reason="r"), TransferReleased(), PasswordSet()])
        version = versions.setdefault(stream, len(log.load(stream)))
        versions[stream] += 1
        log.append(Commit(writes=(Write(stream, version, (event,)),), cause=cause, at=START + number * STEP + jitter))


def project(database: str, log: PostgresEventLog) -> None:
    ProjectionRunner(database, log, [AuditProjection()]).catch_up()


def filters(log: PostgresEventLog, chance: Random) -> list[EventFilter]:
    moments = [None, *(START + STEP * chance.randrange(EVENTS) for _ in range(4))]
    found = [EventFilter(), EventFilter(actor="nul\0l"), EventFilter(correlation="own-000003")]
    for _ in range(60):
        since, until = sorted((chance.choice(moments), chance.choice(moments)), key=lambda at: at or START)
        found.append(
            EventFilter(
                kinds=chance.choice([(), ("transfer",), ("transfer.held",), ("account", "transfer.released")]),
                actor=chance.choice(["", "ada", "nobody"]),
                via=chance.choice(["", "api", "cli"]),
                stream=chance.choice(["", "", "transfer:v3-cfg"]),
                correlation=chance.choice(["", "", "request-1"]),
                since=since,
                until=until,
            )
        )
    return found


def forward(search: EventSearch, wanted: EventFilter, limit: int, **bounds: int) -> list[int]:
    found: list[Recorded] = []
    after = bounds.pop("after", 0)
    while True:
        page = search.forward(wanted, after=after, limit=limit, **bounds)
        assert len(page.events) <= limit
        found += page.events
        if page.next == after:
            return [recorded.position for recorded in found]
        after = page.next


def backward(search: EventSearch, wanted: EventFilter, limit: int) -> list[int]:
    found: list[Recorded] = []
    before = 2**62
    while before:
        page = search.backward(wanted, before=before, limit=limit)
        found += page.events
        before = page.next
    return [recorded.position for recorded in found]


@pytest.mark.parametrize("collide", [False, True])
def test_pages_in_both_directions_hold_what_a_look_at_every_event_finds(
    database: str, log: PostgresEventLog, search: EventSearch, connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch, collide: bool,
) -> None:  # fmt: skip
    if collide:  # all correlations share a key: the texts decide
        for module in (projection, queries):
            monkeypatch.setattr(module, "correlation_key", lambda text: 7 if text else None)
    chance = Random(5)
    fill(log, chance)
    project(database, log)
    everything = log.read(0, EVENTS).events
    for wanted in filters(log, chance):
        expected = [recorded.position for recorded in everything if admits(wanted, recorded)]
        assert forward(search, wanted, chance.choice([1, 7, 1000])) == expected, wanted
        assert backward(search, wanted, chance.choice([1, 7, 1000])) == expected[::-1], wanted
        inner = [position for position in expected if 20 < position <= 70]
        assert forward(search, wanted, 7, after=20, upto=70) == inner, wanted


def admits(wanted: EventFilter, recorded: Recorded) -> bool:
    """The filter's meaning, told anew."""
    topic, cause = recorded.event.topic, recorded.cause
    return all(
        (
            not wanted.kinds or any(topic == kind or topic.startswith(f"{kind}.") for kind in wanted.kinds),
            not wanted.actor or wanted.actor == cause.actor,
            not wanted.via or wanted.via == cause.via,
            not wanted.stream or wanted.stream == recorded.stream,
            not wanted.correlation or wanted.correlation == cause.correlation,
            wanted.since is None or wanted.since <= recorded.at,
            wanted.until is None or recorded.at <= wanted.until,
        )
    )


def test_a_reader_never_passes_over_what_the_read_model_has_yet_to_hear_of(
    database: str, log: PostgresEventLog, search: EventSearch, connection: psycopg.Connection
) -> None:
    chance, wanted = Random(6), EventFilter(via="api")
    seen: list[int] = []
    after = 0
    for _ in range(6):
        fill(log, chance, 10)
        seen += forward(search, wanted, 3, after=after)  # the model is behind
        after = seen[-1] if seen else 0
        project(database, log)
        while (page := search.forward(wanted, after=after, limit=2)).next != after:
            seen += [recorded.position for recorded in page.events]
            after = page.next
    assert seen == [recorded.position for recorded in log.read(0, 1000).events if recorded.cause.via == "api"]


def test_who_must_know_all_up_to_a_position_is_told_to_come_again_when_the_model_is_behind(
    log: PostgresEventLog, search: EventSearch, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "WAIT_SECONDS", 0.0)
    fill(log, Random(7), 2)
    with pytest.raises(RetryLater):
        search.forward(EventFilter(via="api"), limit=1, at_least=2)


def test_any_split_into_batches_gives_the_same_rows(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    fill(log, Random(8), 40)
    contents = []
    for size in (40, 7, 1):
        connection.execute("TRUNCATE read_audit.event, read_audit.author, read_audit.kind")
        connection.execute("SET search_path TO read_audit")
        with connection.cursor() as cursor:
            for start in range(0, 40, size):
                AuditProjection().apply(cursor, log.read(start, min(size, 40 - start)).events)
        contents.append(rows(connection))
    assert contents[0] == contents[1] == contents[2]
    assert len(contents[0][0]) == 40


def rows(connection: psycopg.Connection) -> list[Sequence[Any]]:
    return [
        connection.execute(f"SELECT * FROM read_audit.{table} ORDER BY 1").fetchall()  # type: ignore[arg-type]
        for table in ("event", "author", "kind")
    ]


def test_questions_go_by_the_indexes(database: str, log: PostgresEventLog, connection: psycopg.Connection) -> None:
    """A rare author, kind or request costs what it has of rows, not what the log has."""
    connection.execute("INSERT INTO read_audit.author SELECT n, 'a' || n, 'api' FROM generate_series(1, 50) n")
    connection.execute(
        "INSERT INTO read_audit.event SELECT n, now(), n, 1 + (n % 1000 = 0)::int, 1 + (n % 1000 = 0)::int "
        "FROM generate_series(1, 30000) n"
    )
    connection.execute("ANALYZE read_audit.event")
    for condition in ("author = 2", "kind = 2::smallint", "correlation = 777"):
        plan = connection.execute(
            f"EXPLAIN SELECT position FROM read_audit.event WHERE position > 0 AND position <= 30000 "  # type: ignore[arg-type]
            f"AND {condition} ORDER BY position LIMIT 100"
        ).fetchall()
        told = "\n".join(row[0] for row in plan)
        assert f"event_{condition.split()[0]}" in told, told
