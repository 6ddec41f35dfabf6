"""The history of a file, and events found by who, what, when and which request, however many events there are.

A rare author's and a rare request's events are appended for the search to find; the plan's nodes say that nothing reads
the whole log.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Any

import psycopg
import requests
from psycopg_pool import ConnectionPool

from adapters.event_store.log import PostgresEventLog
from application.event_search import EventSearch
from application.history import frame_life
from application.ports.audit import EventFilter
from application.ports.event_log import Commit, Write
from domain.event import Cause
from domain.transfer_events import TransferHeld
from projections.audit.queries import AuditIndex
from tests.benchmarks import load
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session

SAMPLES = 200
GOAL_MS = 50.0
RARE = 20
"""Events of the rare author, of one request."""
BYTES = 150


def run(session: Session) -> Iterator[Row]:
    """See the module."""
    load.ensure(session)
    installation = session.installation
    log = PostgresEventLog(installation.conninfo)
    rare = _rare(log)
    try:
        with installation.process("projections"), installation.api() as (address, _):
            installation.wait_projected()
            head = log.head()
            chance = Random(11)
            frames = [session.generator.frame(chance.randrange(session.frames))["basename"] for _ in range(SAMPLES)]
            yield _timed("history of a file, function", head, [_life(log, name) for name in frames])
            client = requests.Session()
            client.headers["Authorization"] = f"Token {installation.token()}"
            routes = [f"{address}/api/v1/audit/frame/{name}" for name in frames]
            yield _timed("history of a file, API", head, [_get(client, route) for route in routes])
            yield from _searches(installation.conninfo, log, head, rare)
            yield _plan(installation.conninfo, frames[0], head)
            yield _size(installation.conninfo, head)
    finally:
        log.close()


def _rare(log: PostgresEventLog) -> EventFilter:
    """The filter for what is appended here: few events of one author."""
    name = f"rare-{secrets.token_hex(4)}"
    cause = Cause(actor=name, via="api", correlation=name)
    held = tuple(TransferHeld(reason="benchmark") for _ in range(RARE))
    last = log.load_at([log.head()])[0].at
    log.append(Commit(writes=(Write(f"transfer:{name}", 0, held),), cause=cause, at=last + timedelta(seconds=1)))
    return EventFilter(actor=name)


def _searches(conninfo: str, log: PostgresEventLog, head: int, rare: EventFilter) -> Iterator[Row]:
    middle = log.load_at([head // 2])[0].at
    wanted = {
        "a rare author": rare,
        "a request": EventFilter(correlation=rare.actor),
        "a rare kind": EventFilter(kinds=("transfer.held",)),
        "from a time on": EventFilter(since=middle),
        "a kind from a time on": EventFilter(since=middle, kinds=("frame",)),
    }
    with ConnectionPool(conninfo, min_size=1, max_size=1, kwargs={"autocommit": True}) as pool:
        search = EventSearch(log, AuditIndex(pool))
        for name, events in wanted.items():

            def ask(events: EventFilter = events) -> None:
                assert search.backward(events, limit=100).events

            yield _timed(f"100 events of {name}", head, [ask] * 20)


def _life(log: PostgresEventLog, name: str) -> Callable[[], object]:
    return lambda: frame_life(log, [], name)


def _get(client: requests.Session, route: str) -> Callable[[], object]:
    def ask() -> None:
        answer = client.get(route, timeout=30)
        answer.raise_for_status()
        assert answer.json()["results"]

    return ask


def _timed(name: str, head: int, work: list[Callable[[], object]]) -> Row:
    work[0]()
    seconds = []
    for one in work:
        begun = time.perf_counter()
        one()
        seconds.append(time.perf_counter() - begun)
    seconds.sort()
    median, most = seconds[len(seconds) // 2] * 1000, seconds[int(len(seconds) * 0.99)] * 1000
    return Row(
        name=name,
        figure=median,
        unit="ms",
        goal=f"< {GOAL_MS:.0f}",
        reached=median < GOAL_MS,
        note=f"median of {len(work)}, p99 {most:.1f} ms; {head} events",
    )


def _plan(conninfo: str, frame: str, head: int) -> Row:
    """What PostgreSQL reads for one frame: pages, whatever the log's size."""
    statement = "SELECT * FROM starferry.starferry_events WHERE originator_id = ANY(%s)"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        row = connection.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", ([f"frame:{frame}"],)
        ).fetchone()
        assert row is not None
        plan: dict[str, Any] = row[0][0]["Plan"]
    pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return Row(
        name="pages read for a file's events",
        figure=pages,
        unit="pages",
        goal="<= 10",
        reached=pages <= 10,
        note=f"{plan['Node Type']} by {plan.get('Index Name', '-')}; {head} events",
    )


def _size(conninfo: str, head: int) -> Row:
    tables = (
        "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c JOIN pg_namespace n "
        "ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = 'read_audit'"
    )
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(tables).fetchone()
    assert row is not None
    figure = row[0] / head
    return Row(
        name="size of the audit read model",
        figure=figure,
        unit="B/event",
        goal=f"<= {BYTES}",
        reached=figure <= BYTES,
        note=f"with its indexes; {head} events",
    )
