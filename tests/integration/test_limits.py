"""Places and pace in a real PostgreSQL, over several processes' worth of workers (S59)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from adapters.jobs.limits import WINDOW, PostgresLimits
from adapters.jobs.waiting import CHANNEL, WaitingTransfers
from application.fair_share import TOGETHER_BYTES
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


@pytest.fixture
def waiting(database: str) -> Iterator[WaitingTransfers]:
    """What those who nudge have."""
    with ConnectionPool(database, min_size=1, kwargs={"autocommit": True}) as pool:
        yield WaitingTransfers(pool)


def alone(limits: PostgresLimits, storage_config: str) -> Sequence[str]:
    return limits.first(storage_config, together=False)


def together(limits: PostgresLimits, storage_config: str) -> Sequence[str]:
    return limits.first(storage_config, together=True)


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


def test_s59_those_who_wait_are_called_in_the_order_of_their_times_and_each_once(
    worker: Open, waiting: WaitingTransfers
) -> None:
    one, two = worker(), worker()
    now = datetime.now(UTC)
    for number in range(4):
        waiting.put({f"t{number}": ("a", None)})
    waiting.put({"t0": ("a", now + timedelta(hours=1)), "t3": ("a", now - timedelta(hours=1))})
    assert [alone(limits, "a") for limits in (one, two, one, two)] == [["t3"], ["t0"], ["t1"], ["t2"]]
    assert alone(one, "a") == []


def test_what_is_not_due_waits_for_its_time_and_is_found_then(
    worker: Open, waiting: WaitingTransfers, database: str
) -> None:
    limits = worker()
    waiting.put({"later": ("a", datetime.now(UTC) + timedelta(hours=1))})
    limits.put_off("b", "put off", 3600)
    limits.put_off("a", "later", 7200)
    assert (list(limits.waiting()), alone(limits, "a"), alone(limits, "b")) == ([], [], [])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE starferry.waiting_transfer SET due_at = due_at - interval '61 minutes'")
    assert (list(limits.waiting()), alone(limits, "a"), alone(limits, "b")) == (["a", "b"], ["later"], ["put off"])


def test_s59_destinations_take_turns_and_those_with_the_fewest_running_are_called_first(
    worker: Open, waiting: WaitingTransfers
) -> None:
    limits = worker()
    assert list(limits.waiting()) == []
    waiting.put({f"{destination}{number}": (destination, None) for destination in "bac" for number in range(3)})
    assert list(limits.waiting()) == ["a", "b", "c"]
    alone(limits, "a")
    assert list(limits.waiting()) == ["b", "c", "a"], "each in its turn"
    alone(limits, "b")
    alone(limits, "c")
    limits.take("a", None)
    assert list(limits.waiting()) == ["b", "c", "a"]
    for _ in range(4):
        limits.take("b", None)
    assert list(limits.waiting()) == ["c", "a"], "what could get no place here isn't called"


def test_s59_small_files_are_taken_together_an_even_share_at_a_time(worker: Open, waiting: WaitingTransfers) -> None:
    limits = worker(places=8)
    names = [f"t{number:02d}" for number in range(70)]
    for name in names:  # one after the other, so that they have an order
        waiting.put({name: ("a", None)}, {name: 1000})
    taken = []
    while found := together(limits, "a"):
        taken.append(found)
    assert [name for found in taken for name in found] == names
    assert list(map(len, taken)) == [16, 14, 10, 8, 6, 4, 3, 3, 2, 1, 1, 1, 1], "a quarter of what waits, at most 16"


def test_files_are_taken_together_as_long_as_they_are_small_together(worker: Open, waiting: WaitingTransfers) -> None:
    limits = worker(places=2)
    half = TOGETHER_BYTES // 2
    for name, size in (("a", half), ("b", half), ("c", half + 1), ("d", half), ("e", None), ("f", 1), ("g", 10**12)):
        waiting.put({name: ("cfg", None)}, {} if size is None else {name: size})
    assert [together(limits, "cfg") for _ in range(6)] == [["a", "b"], ["c"], ["d"], ["e"], ["f"], ["g"]]
    assert together(limits, "cfg") == []


def test_what_is_not_due_is_not_taken_with_the_others(worker: Open, waiting: WaitingTransfers) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    waiting.put(
        {"now": ("a", None), "later": ("a", later), "foreign": ("b", None)}, {"now": 1, "later": 1, "foreign": 1}
    )
    assert together(worker(places=2), "a") == ["now"]


def test_no_two_workers_take_the_same(worker: Open, waiting: WaitingTransfers) -> None:
    names = [f"t{number}" for number in range(200)]
    waiting.put(dict.fromkeys(names, ("a", None)), dict.fromkeys(names, 1))

    def take(limits: PostgresLimits) -> list[str]:
        taken: list[str] = []
        while found := together(limits, "a"):
            taken += found
        return taken

    with ThreadPoolExecutor(4) as threads:
        taken = [name for mine in threads.map(take, [worker() for _ in range(4)]) for name in mine]
    assert len(taken) == len(set(taken)) >= 190, "one that looks past another's may see none any more"
    assert sorted([*taken, *take(worker())]) == sorted(names)


def test_a_destination_among_very_many_gets_its_turn(worker: Open, waiting: WaitingTransfers) -> None:
    limits, many = worker(), [f"d{number:03d}" for number in range(3 * WINDOW)]
    waiting.put({f"{destination}-{number}": (destination, None) for destination in many for number in range(2)})
    assert list(limits.waiting()) == many
    served = []
    for _ in many:
        served.append(next(iter(limits.waiting())))
        alone(limits, served[-1])
    assert served == many


def test_whoever_listens_is_told_of_what_is_due_and_of_nothing_else(database: str, waiting: WaitingTransfers) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}".encode())
        waiting.put({"later": ("a", datetime.now(UTC) + timedelta(hours=1))})
        waiting.put({f"t{number}": ("a", None) for number in range(500)})
        told = list(connection.notifies(timeout=5.0, stop_after=1)) + list(connection.notifies(timeout=0.0))
    assert [one.channel for one in told] == [CHANNEL], "once for all of them"


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


def test_s57_a_line_that_a_wrong_clock_has_claimed_is_free_again_within_an_hour(worker: Open, database: str) -> None:
    limits = worker()
    limits.reserve("a", 1_000_000, 100_000)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE starferry.destination_pace SET free_at = free_at + interval '3 years'")
    assert 3500.0 < limits.reserve("a", 1_000_000, 100_000) <= 3600.0


def end_sessions(database: str, limits: PostgresLimits) -> None:
    """The server ends the session that holds a worker's places."""
    session = limits._session
    assert session is not None
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (session.info.backend_pid,))
