"""Places and pace in a real PostgreSQL, over several processes' worth of workers (S59)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from adapters.jobs.limits import PostgresLimits
from application.ports.limits import Berth
from domain.errors import RetryLater
from tests.site import eventually

Open = Callable[..., PostgresLimits]


@pytest.fixture
def worker(database: str) -> Iterator[Open]:
    """Makes what one worker process has."""
    with ExitStack() as stack:
        pool: ConnectionPool[Any] = stack.enter_context(
            ConnectionPool(database, min_size=1, kwargs={"autocommit": True})
        )

        def opened(places: int = 8) -> PostgresLimits:
            limits = PostgresLimits(database, pool, places)
            stack.callback(limits.close)
            return limits

        yield opened


def test_s59_no_more_than_the_limit_run_at_a_time_over_all_workers(worker: Open) -> None:
    one, two = worker(), worker()
    taken = [one.take("a", 3), two.take("a", 3), one.take("a", 3)]
    assert None not in taken
    assert one.take("a", 3) is None
    assert two.take("a", 3) is None
    assert two.take("b", 3) is not None, "another destination has places of its own"
    one.give_back(taken[0] or Berth(""))
    assert two.take("a", 3) is not None
    assert one.take("a", 3) is None


def test_s59_a_worker_never_takes_one_place_twice(worker: Open) -> None:
    limits = worker(64)
    slots = [berth.slot for _ in range(5) if (berth := limits.take("a", 5)) is not None]
    assert sorted(slot for slot in slots if slot is not None) == [0, 1, 2, 3, 4]
    assert limits.take("a", 5) is None


def test_s59_many_threads_of_many_workers_keep_the_limit(worker: Open) -> None:
    workers = [worker(64) for _ in range(3)]
    guard, running, most, done = threading.Lock(), [0], [0], [0]

    def carry(limits: PostgresLimits) -> None:
        for _ in range(15):
            if (berth := limits.take("a", 2)) is None:
                continue
            with guard:
                running[0] += 1
                most[0] = max(most[0], running[0])
            with guard:
                running[0] -= 1
                done[0] += 1
            limits.give_back(berth)

    threads = [threading.Thread(target=carry, args=(limits,)) for limits in workers for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] <= 2
    assert done[0] > 0
    assert [worker(64).take("a", 1) is None, workers[0].take("a", 1) is None] == [False, True], "all were given back"


def test_s59_the_places_of_a_worker_that_died_are_free_at_once(worker: Open, database: str) -> None:
    dead, living = worker(), worker()
    assert dead.take("a", 1) is not None
    assert living.take("a", 1) is None
    end_sessions(database, dead)
    assert eventually(lambda: living.take("a", 1), "the place wasn't free")


def test_s59_a_worker_that_lost_its_session_takes_its_places_again(worker: Open, database: str) -> None:
    mine, other = worker(), worker()
    held = mine.take("a", 2)
    end_sessions(database, mine)
    with pytest.raises(RetryLater):
        mine.take("b", 1)
    assert mine.take("b", 1) is not None
    assert eventually(lambda: other.take("a", 2), "the second place is free")
    assert other.take("a", 2) is None, "the first is held again"
    assert held is not None
    mine.give_back(held)
    assert other.take("a", 2) is not None


def test_s59_a_place_whose_session_broke_is_given_back_without_a_complaint(worker: Open, database: str) -> None:
    mine = worker()
    held = mine.take("a", 1)
    assert held is not None
    end_sessions(database, mine)
    mine.give_back(held)
    assert mine.take("a", 1) is not None


def test_s59_those_who_wait_are_called_in_their_order_and_each_once(worker: Open) -> None:
    one, two = worker(), worker()
    for number in range(4):
        one.park("a", f"t{number}")
    one.park("a", "t0")
    two.leave("t1")
    assert [one.first("a"), two.first("a"), one.first("a"), two.first("a")] == ["t0", "t2", "t3", None]


def test_s59_the_destination_with_the_fewest_running_is_called_first(worker: Open) -> None:
    limits = worker()
    assert limits.waiting() == []
    for destination in ("b", "a", "c"):
        for number in range(3):
            limits.park(destination, f"{destination}{number}")
    assert limits.waiting() == ["a", "b", "c"]
    limits.take("a", None)
    assert limits.waiting() == ["b", "c", "a"]
    for _ in range(4):
        limits.take("b", None)
    assert limits.waiting() == ["c", "a"], "what could get no place here isn't called"


def test_s59_the_bandwidth_of_a_destination_is_shared_chunk_by_chunk(worker: Open, database: str) -> None:
    one, two = worker(), worker()
    waits = [limits.reserve("a", 1_000_000, 100_000) for limits in (one, two, one, two)]
    assert waits[0] == 0.0
    for wait, ideal in zip(waits[1:], (10.0, 20.0, 30.0), strict=True):
        assert ideal - 5.0 < wait <= ideal, "each after all that was claimed before"
    assert one.reserve("b", 1_000_000, 100_000) == 0.0, "another destination has a line of its own"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE starferry.destination_pace SET free_at = free_at - interval '1 hour'")
    assert one.reserve("a", 1_000_000, 100_000) == 0.0, "a line that was idle saves nothing up"
    assert 5.0 < two.reserve("a", 1_000_000, 100_000) <= 10.0


def end_sessions(database: str, limits: PostgresLimits) -> None:
    """The server ends the session that holds a worker's places."""
    session = limits._session
    assert session is not None
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (session.info.backend_pid,))
