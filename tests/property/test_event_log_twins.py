"""The log in memory, the one on PostgreSQL and its group-commit form answer any sequence of commits alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.event_store.memory import MemoryEventLog
from application.ports.event_log import Commit, EventLog, Write
from domain.errors import AlreadyExists, Conflict, StarferryError
from tests.contract.event_log_harness import Shared, commit, held, texts
from tests.postgres import fresh_database

STREAMS = st.sampled_from(["a", "b", "c"])
NAMES = st.lists(st.sampled_from(["x", "y", "z"]), max_size=2)
VERSIONS = st.integers(0, 3)
TEXTS = st.lists(st.sampled_from(["p", "q"]), max_size=2)
WRITES = st.builds(
    lambda stream, expected, said: Write(stream, expected, tuple(map(held, said))), STREAMS, VERSIONS, TEXTS
)
COMMITS = st.builds(
    lambda writes, claims, releases, guards: commit(*writes, claims=claims, releases=releases, guards=guards),
    st.lists(WRITES, max_size=2),
    NAMES,
    NAMES,
    st.lists(st.tuples(STREAMS, VERSIONS), max_size=1),
)
"""Few streams, few names, few versions: so that most commits meet others."""

EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def shared(cluster: str, template: str) -> Iterator[Shared]:
    with fresh_database(cluster, template=template) as conninfo, Shared(conninfo) as shared:
        yield shared


@EXAMPLES
@given(commits=st.lists(COMMITS, min_size=1, max_size=12))
def test_one_after_the_other(shared: Shared, commits: list[Commit]) -> None:
    shared.empty()
    memory = MemoryEventLog()
    assert [answer(shared.postgres, one) for one in commits] == [answer(memory, one) for one in commits]
    assert state(shared.postgres) == state(memory)


@EXAMPLES
@given(commits=st.lists(COMMITS, min_size=1, max_size=12))
def test_as_a_group(shared: Shared, commits: list[Commit]) -> None:
    shared.empty()
    memory = MemoryEventLog()
    results = shared.group_commit.append_together(commits)
    assert [told(result) for result in results] == [answer(memory, one) for one in commits]
    assert state(shared.postgres) == state(memory)
    stored = {recorded.position: recorded.event for recorded in shared.postgres.read(0, 1000).events}
    for one, result in zip(commits, results, strict=True):
        events = [event for write in one.writes for event in write.events]
        if isinstance(result, int) and events:
            assert stored[result] == events[-1]


@EXAMPLES
@given(batches=st.lists(st.tuples(st.lists(COMMITS, max_size=3), st.integers(0, 3)), min_size=1, max_size=6))
def test_tracked(shared: Shared, batches: list[tuple[list[Commit], int]]) -> None:
    shared.empty()
    memory = MemoryEventLog()
    for commits, position in batches:
        assert tracked(shared.postgres, commits, position) == tracked(memory, commits, position)
    assert state(shared.postgres) == state(memory)


def answer(log: EventLog, one: Commit) -> object:
    """What an append says; not the position, which has gaps on PostgreSQL."""
    try:
        return told(log.append(one))
    except StarferryError as error:
        return told(error)


def tracked(log: EventLog, commits: Sequence[Commit], position: int) -> object:
    """What a tracked append says."""
    try:
        log.append_tracked(commits, "policy", position)
    except Conflict as error:
        return told(error)
    return "stored"


def told(result: int | BaseException) -> object:
    """A result to compare."""
    if isinstance(result, AlreadyExists):
        return type(result), str(result), result.taken
    return (type(result), str(result)) if isinstance(result, BaseException) else "stored"


def state(log: EventLog) -> object:
    """All that a log holds, in its order."""
    events = log.read(0, 1000).events
    return (
        [(recorded.stream, recorded.version) for recorded in events],
        texts(events),
        {stream: texts(found) for stream, found in log.load_many(["a", "b", "c"]).items()},
        log.claimed(["x", "y", "z"]),
        log.checkpoint("policy"),
    )
