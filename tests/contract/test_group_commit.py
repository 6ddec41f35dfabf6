"""What a commit's neighbours in one transaction mean to it: nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import msgspec
import psycopg
import pytest

from application.ports.event_log import Commit
from domain.errors import AlreadyExists, RetryLater, StreamConflict
from tests.contract.event_log_harness import Facade, Shared, commit, held, texts, write
from tests.postgres import fresh_database


@pytest.fixture(scope="module")
def shared(cluster: str, template: str) -> Iterator[Shared]:
    with fresh_database(cluster, template=template) as conninfo, Shared(conninfo) as shared:
        yield shared


@pytest.fixture
def log(shared: Shared) -> Facade:
    shared.empty()
    return shared.group_commit


def test_every_acknowledged_commit_is_stored_and_every_loser_is_told_why(log: Facade) -> None:
    """Half of them conflict: pairs want one stream, one name, or the same next version."""
    log.append(commit(write("old", 0, "0")))
    wanted: list[tuple[str, Commit]] = []
    for number in range(120):
        for rival in "ab":
            text = f"{number}{rival}"
            wanted += [
                (f"stream s{number}", commit(write(f"s{number}", 0, f"s{text}", f"s{text}+"))),
                (f"claim c{number}", commit(write(f"t{text}", 0, f"c{text}"), claims=[f"free{text}", f"c{number}"])),
            ]
    for number in range(40):
        wanted.append(("stream old", commit(write("old", 1, f"old{number}"))))
        wanted.append(("stream never", commit(write(f"u{number}", 0, f"u{number}"), guards=[("never", 1)])))
    random.Random(7).shuffle(wanted)

    results = log.append_together([one for _, one in wanted])

    stored = {recorded.position: recorded for recorded in log.read(0, 10_000).events}
    acknowledged = {"0"}
    for (reason, one), result in zip(wanted, results, strict=True):
        if isinstance(result, int):
            last = one.writes[-1].events[-1]
            assert stored[result].event == last
            acknowledged.update(event.reason for event in one.writes[0].events)  # type: ignore[attr-defined]
        elif reason.startswith("stream "):
            assert isinstance(result, StreamConflict)
            assert f"changed {reason.removeprefix('stream ')} at" in str(result)
        else:
            assert isinstance(result, AlreadyExists)
            assert result.taken == (reason.removeprefix("claim "),)
    assert sorted(acknowledged) == sorted(texts(list(stored.values())))
    wins = [reason for (reason, _), result in zip(wanted, results, strict=True) if isinstance(result, int)]
    assert len(wins) == len(set(wins)) == 241


def test_a_commit_may_build_on_another_of_its_group(log: Facade) -> None:
    results = log.append_together([commit(write("s", number, str(number))) for number in range(50)])
    assert results == list(range(1, 51))
    assert texts(log.load("s")) == [str(number) for number in range(50)]


def test_a_guard_sees_what_a_neighbour_wrote_before_it(log: Facade) -> None:
    first, second, third = log.append_together(
        [
            commit(write("t", 0, "a"), guards=[("s", 0)]),
            commit(write("s", 0, "b")),
            commit(write("u", 0, "c"), guards=[("s", 0)]),
        ]
    )
    assert (first, second) == (1, 2)
    assert isinstance(third, StreamConflict)
    assert texts(log.read(0, 10).events) == ["a", "b"]


def test_a_name_passes_from_one_commit_to_a_later_one_never_to_an_earlier_one(log: Facade) -> None:
    """Or a reader of the log would meet two holders of one name."""
    log.append(commit(write("owner", 0, "x"), claims=["md5:1"]))
    release = commit(write("owner", 1, "gone"), releases=["md5:1"])
    refused, stored = log.append_together([commit(write("early", 0, "e"), claims=["md5:1"]), release])
    assert isinstance(refused, AlreadyExists)
    assert isinstance(stored, int)
    log.append(commit(write("owner", 2, "back"), claims=["md5:1"]))
    again = commit(write("owner", 3, "gone again"), releases=["md5:1"])
    results = log.append_together([again, commit(write("late", 0, "l"), claims=["md5:1"])])
    assert results == [log.head() - 1, log.head()]
    assert texts(log.read(0, 10).events) == ["x", "gone", "back", "gone again", "l"]
    assert log.claimed(["md5:1"]) == {"md5:1"}


def test_a_commit_that_the_server_cannot_take_at_all_harms_no_other(log: Facade) -> None:
    impossible = commit(write("s", 2**63, "beyond bigint"))
    results = log.append_together([commit(write("a", 0, "a")), impossible, commit(write("b", 0, "b"))])
    assert (results[0], results[2]) == (1, 2)
    assert isinstance(results[1], psycopg.DataError)


def test_an_append_whose_caller_went_away_is_stored_and_harms_no_other(log: Facade) -> None:
    async def cancelled() -> int:
        first = asyncio.ensure_future(log.log.append(commit(write("a", 0, "a"))))
        leaving = asyncio.ensure_future(log.log.append(commit(write("b", 0, "b"))))
        await asyncio.sleep(0)
        leaving.cancel()
        await first
        return await log.log.append(commit(write("c", 0, "c")))

    log.run(cancelled())
    assert texts(log.read(0, 10).events) == ["a", "b", "c"]


def test_appends_of_a_stopping_program_are_told_to_retry(log: Facade) -> None:
    async def stopped() -> list[int | BaseException]:
        waiting = [asyncio.ensure_future(log.log.append(commit(write(f"s{n}", 0, "a")))) for n in range(5)]
        await asyncio.sleep(0)
        writer = log.log._writer
        assert writer is not None
        writer.cancel()
        return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)

    assert all(isinstance(result, RetryLater) for result in log.run(stopped()))
    assert log.append(commit(write("next", 0, "b"))) > 0


def test_load_gives_positions_as_the_other_logs_do(log: Facade) -> None:
    log.append(commit(write("s", 0, "a"), write("t", 0, "b")))
    assert [recorded.position for recorded in log.load("t")] == [2]
    assert log.run(log.log.event_at(2)).event == held("b")


def test_a_group_larger_than_one_transaction_is_stored_whole(log: Facade) -> None:
    results = log.append_together([commit(write(f"s{number}", 0, *("x" * 3))) for number in range(700)])
    assert results == list(range(3, 2101, 3))
    assert log.head() == 2100


def test_a_group_of_500_conflicting_commits_takes_little_longer_than_one_without(log: Facade) -> None:
    """The time is held against the whole store, for all writers wait: one pass, not one for each commit."""
    big = msgspec.structs.replace(write("s", 0), events=(held("x" * 3000),))

    def commits(mark: str, to_one_stream: int) -> list[Commit]:
        streams = [msgspec.structs.replace(big, stream=f"{mark}{number // to_one_stream}") for number in range(500)]
        return [commit(one, claims=[f"{mark}a{n}", f"{mark}b{n}"]) for n, one in enumerate(streams)]

    async def timed(group: list[Commit]) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(log.log.append(one) for one in group), return_exceptions=True)
        return loop.time() - began

    log.append(commit(write("warm", 0, "up")))
    without = min(log.run(timed(commits(f"apart{turn}:", 1))) for turn in range(3))
    conflicting = min(log.run(timed(commits(f"pairs{turn}:", 2))) for turn in range(3))
    assert conflicting < 25 * without
