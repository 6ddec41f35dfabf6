"""What every event log does: one suite for PostgreSQL, its group-commit form and the one in memory."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from adapters.event_store.memory import MemoryEventLog
from application.ports.event_log import EventLog
from domain.errors import AlreadyExists, Conflict, InvalidInput, StreamConflict
from domain.event import Event
from domain.frame_record import FrameRecord
from domain.frames import FileProcessed
from domain.transfer_events import TransferStarted
from tests.contract.event_log_harness import (
    CAUSE,
    NOW,
    Shared,
    commit,
    held,
    texts,
    write,
)
from tests.postgres import fresh_database


@pytest.fixture(scope="module")
def shared(cluster: str, template: str) -> Iterator[Shared]:
    """One database for all tests of this file; each finds its log empty."""
    with fresh_database(cluster, template=template) as conninfo, Shared(conninfo) as shared:
        yield shared


@pytest.fixture(params=["memory", "postgres", "group commit"])
def log(request: pytest.FixtureRequest) -> EventLog:
    if request.param == "memory":
        return MemoryEventLog()
    shared: Shared = request.getfixturevalue("shared")
    shared.empty()
    return shared.postgres if request.param == "postgres" else shared.group_commit


class TestAnEmptyLog:
    def test_has_nothing_anywhere(self, log: EventLog) -> None:
        assert log.head() == 0
        assert list(log.load("a")) == []
        assert log.load_many(["a", "b"]) == {}
        assert log.load_many([]) == {}
        assert log.claimed(["md5:1"]) == frozenset()
        assert log.claimed([]) == frozenset()
        assert log.checkpoint("nobody") == 0

    def test_has_no_event_at_any_position(self, log: EventLog) -> None:
        assert list(log.load_at([0, 1, 7])) == []
        assert list(log.load_at([])) == []

    def test_read_stays_where_it_was(self, log: EventLog) -> None:
        assert log.read(0, 10).upto == 0
        assert log.read(7, 10).upto == 7
        assert list(log.read(0, 10).events) == []

    def test_takes_a_commit_of_nothing(self, log: EventLog) -> None:
        assert log.append(commit()) == 0
        assert log.head() == 0


class TestOrder:
    def test_events_come_back_as_they_were_given(self, log: EventLog) -> None:
        position = log.append(commit(write("s", 0, "one", "two")))
        first, second = log.load("s")
        assert (first.stream, first.version, first.event) == ("s", 1, held("one"))
        assert (second.stream, second.version, second.event) == ("s", 2, held("two"))
        assert (second.cause, second.at, second.position) == (CAUSE, NOW, position)
        assert first.position < second.position

    def test_positions_begin_at_one_and_rise_by_one(self, log: EventLog) -> None:
        assert log.append(commit(write("s", 0, "one"))) == 1
        assert log.append(commit(write("t", 0, "two", "three"))) == 3
        assert log.append(commit(write("s", 1, "four"))) == 4
        assert log.head() == 4
        assert [recorded.position for recorded in log.read(0, 10).events] == [1, 2, 3, 4]

    def test_writes_of_one_commit_get_positions_in_their_order(self, log: EventLog) -> None:
        log.append(commit(write("z", 0, "one", "two"), write("a", 0, "three"), write("m", 0, "four")))
        assert texts(log.read(0, 10).events) == ["one", "two", "three", "four"]

    def test_read_goes_on_after_a_position(self, log: EventLog) -> None:
        log.append(commit(write("s", 0, *"abcdef")))
        batch = log.read(2, 3)
        assert (texts(batch.events), batch.upto) == (["c", "d", "e"], 5)
        assert texts(log.read(5, 3).events) == ["f"]
        assert log.read(6, 3).upto == 6

    def test_read_ends_at_upto(self, log: EventLog) -> None:
        log.append(commit(write("s", 0, *"abcdef")))
        batch = log.read(1, 10, upto=3)
        assert (texts(batch.events), batch.upto) == (["b", "c"], 3)
        assert log.read(3, 10, upto=3).upto == 3
        assert log.read(5, 10, upto=3).upto == 5

    def test_read_with_topics_leaves_others_out_and_still_passes_them(self, log: EventLog) -> None:
        started = msgspec.structs.replace(write("u", 0), events=(TransferStarted(attempt=1, worker="w"),))
        log.append(commit(write("s", 0, "a"), started, write("t", 0, "b", "c")))
        batch = log.read(0, 3, topics={"transfer.started"})
        assert ([recorded.event.topic for recorded in batch.events], batch.upto) == (["transfer.started"], 3)
        assert log.read(0, 10, topics=["transfer.held"]).upto == 4
        nothing = log.read(0, 10, topics=[])
        assert (list(nothing.events), nothing.upto) == ([], 4)

    def test_load_at_gives_events_by_position_in_the_logs_order_once_each(self, log: EventLog) -> None:
        log.append(commit(write("a", 0, "1", "2"), write("b", 0, "3")))
        found = log.load_at([3, 1, 99, 1])
        assert [(recorded.position, recorded.stream) for recorded in found] == [(1, "a"), (3, "b")]
        assert texts(found) == ["1", "3"]

    def test_load_many_gives_each_stream_its_events_and_leaves_empty_ones_out(self, log: EventLog) -> None:
        log.append(commit(write("s", 0, "a"), write("t", 0, "b")))
        log.append(commit(write("s", 1, "c")))
        found = log.load_many(["t", "nothing", "s", "s"])
        assert {stream: texts(events) for stream, events in found.items()} == {"s": ["a", "c"], "t": ["b"]}
        assert [recorded.position for recorded in found["s"]] == [1, 3]


class TestExpectedVersions:
    @pytest.mark.parametrize("expected", [0, 1, 3, 7], ids=["new", "too low", "too high", "far too high"])
    def test_any_other_version_is_a_conflict(self, log: EventLog, expected: int) -> None:
        log.append(commit(write("s", 0, "a", "b")))
        with pytest.raises(StreamConflict, match=r"Somebody else changed s at the same time"):
            log.append(commit(write("s", expected, "c")))
        assert texts(log.load("s")) == ["a", "b"]
        log.append(commit(write("s", 2, "c")))

    def test_a_stream_that_does_not_exist_cannot_be_continued(self, log: EventLog) -> None:
        with pytest.raises(StreamConflict):
            log.append(commit(write("s", 1, "a")))
        assert log.head() == 0

    @pytest.mark.parametrize("expected", [0, 2])
    def test_a_write_of_no_events_still_checks_its_version(self, log: EventLog, expected: int) -> None:
        log.append(commit(write("s", 0, "a")))
        log.append(commit(write("s", 1)))
        with pytest.raises(StreamConflict):
            log.append(commit(write("s", expected), write("t", 0, "b")))
        assert list(log.load("t")) == []

    def test_two_writes_of_one_commit_to_one_stream_are_a_conflict(self, log: EventLog) -> None:
        for second in (0, 1):
            with pytest.raises(StreamConflict):
                log.append(commit(write("s", 0, "a"), write("s", second, "b")))
        assert log.append(commit()) == log.head() == 0

    def test_one_of_many_racing_writers_wins_and_each_other_is_told(self, log: EventLog) -> None:
        log.append(commit(write("s", 0, "first")))
        start = threading.Barrier(8)

        def race(name: int) -> int | None:
            start.wait(10)
            try:
                log.append(commit(write("s", 1, str(name))))
            except StreamConflict:
                return None
            return name

        with ThreadPoolExecutor(8) as threads:
            winners = [name for name in threads.map(race, range(8)) if name is not None]
        assert len(winners) == 1
        assert texts(log.load("s")) == ["first", str(winners[0])]


class TestCommits:
    def test_several_streams_are_stored_together_or_not_at_all(self, log: EventLog) -> None:
        log.append(commit(write("b", 0, "old")))
        with pytest.raises(StreamConflict, match="changed b "):
            log.append(commit(write("a", 0, "x"), write("b", 0, "y"), write("c", 0, "z"), claims=["md5:1"]))
        assert list(log.load("a")) == list(log.load("c")) == []
        assert log.claimed(["md5:1"]) == frozenset()
        assert texts(log.read(0, 10).events) == ["old"]
        log.append(commit(write("a", 0, "x"), write("b", 1, "y"), write("c", 0, "z"), claims=["md5:1"]))
        assert texts(log.read(0, 10).events) == ["old", "x", "y", "z"]

    def test_a_refused_commit_leaves_a_log_that_goes_on(self, log: EventLog) -> None:
        log.append(commit(write("s", 0, "a")))
        with pytest.raises(StreamConflict):
            log.append(commit(write("s", 0, "b")))
        position = log.append(commit(write("s", 1, "c")))
        assert position == log.head() > 1
        assert texts(log.read(0, 10).events) == ["a", "c"]


class TestClaims:
    def test_a_name_can_be_taken_once(self, log: EventLog) -> None:
        log.append(commit(write("a", 0, "x"), claims=["md5:1", "key:k"]))
        with pytest.raises(AlreadyExists) as refused:
            log.append(commit(write("b", 0, "y"), claims=["md5:1", "key:other"]))
        assert refused.value.taken == ("md5:1",)
        assert log.claimed(["md5:1", "key:k", "key:other"]) == {"md5:1", "key:k"}
        assert list(log.load("b")) == []

    def test_all_that_are_taken_are_named(self, log: EventLog) -> None:
        log.append(commit(claims=["a", "b", "c"]))
        with pytest.raises(AlreadyExists) as refused:
            log.append(commit(claims=["new", "c", "a"]))
        assert refused.value.taken == ("c", "a")

    def test_a_name_claimed_twice_by_one_commit_is_taken(self, log: EventLog) -> None:
        with pytest.raises(AlreadyExists) as refused:
            log.append(commit(write("a", 0, "x"), claims=["md5:1", "md5:1"]))
        assert refused.value.taken == ("md5:1",)
        assert log.claimed(["md5:1"]) == frozenset()

    def test_a_released_name_can_be_taken_again(self, log: EventLog) -> None:
        log.append(commit(claims=["md5:1", "md5:2"]))
        log.append(commit(releases=["md5:1", "never taken"]))
        assert log.claimed(["md5:1", "md5:2"]) == {"md5:2"}
        log.append(commit(write("a", 0, "x"), claims=["md5:1"]))
        with pytest.raises(AlreadyExists):
            log.append(commit(write("b", 0, "y"), claims=["md5:1"]))

    def test_a_commit_may_release_and_take_the_same_name(self, log: EventLog) -> None:
        log.append(commit(claims=["path:x"]))
        log.append(commit(releases=["path:x"], claims=["path:x", "path:y"]))
        assert log.claimed(["path:x", "path:y"]) == {"path:x", "path:y"}

    def test_a_refused_commit_releases_nothing(self, log: EventLog) -> None:
        log.append(commit(write("a", 0, "x"), claims=["md5:1", "md5:2"]))
        with pytest.raises(AlreadyExists):
            log.append(commit(releases=["md5:1"], claims=["md5:2"]))
        with pytest.raises(StreamConflict):
            log.append(commit(write("a", 0, "y"), releases=["md5:1"]))
        assert log.claimed(["md5:1", "md5:2"]) == {"md5:1", "md5:2"}

    def test_claims_without_events_are_answered_with_the_head(self, log: EventLog) -> None:
        log.append(commit(write("a", 0, "x", "y")))
        assert log.append(commit(claims=["md5:1"])) == 2
        assert log.append(commit(releases=["md5:1"])) == 2

    def test_a_taken_name_is_told_before_a_new_stream_that_exists(self, log: EventLog) -> None:
        """So that a second delivery of the same file is known as a duplicate at once."""
        log.append(commit(write("a", 0, "x"), claims=["md5:1"]))
        with pytest.raises(AlreadyExists):
            log.append(commit(write("a", 0, "x"), claims=["md5:1"]))

    @pytest.mark.parametrize("name", ["stream:a", '["x"]', "a\nb", "17", "", 'a" \\', "名前 ✨", "' OR 1=1 --"])
    def test_any_text_is_a_name(self, log: EventLog, name: str) -> None:
        log.append(commit(claims=[name]))
        with pytest.raises(AlreadyExists) as refused:
            log.append(commit(claims=[name, "other"]))
        assert refused.value.taken == (name,)
        assert log.claimed([name]) == {name}


class TestGuards:
    def test_a_guard_that_holds_lets_the_commit_in(self, log: EventLog) -> None:
        log.append(commit(write("s", 0, "a", "b")))
        log.append(commit(write("t", 0, "c"), guards=[("s", 2), ("nothing", 0)]))
        assert texts(log.load("t")) == ["c"]
        assert texts(log.load("s")) == ["a", "b"]

    @pytest.mark.parametrize("guard", [("s", 1), ("s", 3), ("s", 0), ("nothing", 1)])
    def test_a_guard_at_another_version_refuses_it(self, log: EventLog, guard: tuple[str, int]) -> None:
        log.append(commit(write("s", 0, "a", "b")))
        with pytest.raises(StreamConflict, match=f"changed {guard[0]} "):
            log.append(commit(write("t", 0, "c"), guards=[("s", 2), guard], claims=["md5:1"]))
        assert list(log.load("t")) == []
        assert log.claimed(["md5:1"]) == frozenset()

    def test_a_stream_may_be_guarded_and_written_by_one_commit(self, log: EventLog) -> None:
        log.append(commit(write("s", 0, "a")))
        log.append(commit(write("s", 1, "b"), guards=[("s", 1)]))
        assert texts(log.load("s")) == ["a", "b"]

    def test_a_guard_and_a_write_that_race_do_not_both_pass(self, log: EventLog) -> None:
        """Each guards what the other writes: at most one of them may go in."""
        for number in range(10):
            x, y = f"x{number}", f"y{number}"
            start = threading.Barrier(2)

            def race(mine: str, other: str, start: threading.Barrier = start) -> bool:
                start.wait(10)
                try:
                    log.append(commit(write(mine, 0, "a"), guards=[(other, 0)]))
                except StreamConflict:
                    return False
                return True

            with ThreadPoolExecutor(2) as threads:
                assert sorted(threads.map(race, [x, y], [y, x])) == [False, True]


class TestSeveralAtATime:
    def test_each_stands_by_itself(self, log: EventLog) -> None:
        log.append(commit(write("b", 0, "old"), claims=["taken"]))
        first, conflict, taken, last = log.append_all(
            [
                commit(write("a", 0, "x", "y")),
                commit(write("b", 0, "late"), claims=["unused"]),
                commit(write("c", 0, "z"), claims=["taken"]),
                commit(write("b", 1, "next"), guards=[("a", 2)]),
            ]
        )
        assert isinstance(conflict, StreamConflict)
        assert isinstance(taken, AlreadyExists)
        assert taken.taken == ("taken",)
        events = log.read(0, 10).events
        assert texts(events) == ["old", "x", "y", "next"]
        assert [first, last] == [events[2].position, events[3].position]
        assert log.claimed(["unused"]) == frozenset()

    def test_none_are_nothing(self, log: EventLog) -> None:
        assert log.append_all([]) == []
        assert log.head() == 0


class TestTrackedAppends:
    def test_events_and_checkpoint_move_together(self, log: EventLog) -> None:
        log.append_tracked([commit(write("a", 0, "x")), commit(write("b", 0, "y"), claims=["c"])], "policy", 7)
        assert log.checkpoint("policy") == 7
        assert texts(log.read(0, 10).events) == ["x", "y"]
        assert log.claimed(["c"]) == {"c"}
        assert log.checkpoint("another") == 0

    def test_one_refused_commit_refuses_all_and_the_checkpoint_stays(self, log: EventLog) -> None:
        log.append(commit(write("b", 0, "old"), claims=["taken"]))
        log.append_tracked((), "policy", 3)
        good = commit(write("a", 0, "x"), claims=["free"], releases=["taken"])
        with pytest.raises(StreamConflict):
            log.append_tracked([good, commit(write("b", 0, "y"))], "policy", 7)
        with pytest.raises(AlreadyExists) as refused:
            log.append_tracked([commit(write("a", 0, "x")), commit(claims=["taken"])], "policy", 7)
        assert refused.value.taken == ("taken",)
        assert log.checkpoint("policy") == 3
        assert texts(log.read(0, 10).events) == ["old"]
        assert log.claimed(["free", "taken"]) == {"taken"}

    @pytest.mark.parametrize("position", [6, 7])
    def test_a_checkpoint_never_goes_back_or_stays(self, log: EventLog, position: int) -> None:
        log.append_tracked((), "policy", 7)
        with pytest.raises(Conflict) as refused:
            log.append_tracked([commit(write("a", 0, "x"))], "policy", position)
        assert not isinstance(refused.value, (StreamConflict, AlreadyExists))
        assert log.checkpoint("policy") == 7
        assert list(log.load("a")) == []
        log.append_tracked((), "policy", 8)
        assert log.checkpoint("policy") == 8

    def test_a_consumer_that_enters_begins_behind_what_is_there_and_only_once(self, log: EventLog) -> None:
        log.enter("early")
        log.append(commit(write("a", 0, "x")))
        for consumer in ("early", "late"):
            log.enter(consumer)
        assert (log.checkpoint("early"), log.checkpoint("late")) == (0, 1)
        log.append(commit(write("b", 0, "y")))
        log.append_tracked((), "early", 2)
        for consumer in ("early", "late"):
            log.enter(consumer)
        assert (log.checkpoint("early"), log.checkpoint("late")) == (2, 1)

    def test_a_new_consumer_stands_at_zero_already(self, log: EventLog) -> None:
        with pytest.raises(Conflict):
            log.append_tracked((), "policy", 0)

    def test_later_commits_see_the_earlier_ones(self, log: EventLog) -> None:
        log.append_tracked(
            [
                commit(write("s", 0, "a"), claims=["n"]),
                commit(write("s", 1, "b"), releases=["n"]),
                commit(write("t", 0, "c"), claims=["n"], guards=[("s", 2)]),
            ],
            "policy",
            1,
        )
        assert texts(log.read(0, 10).events) == ["a", "b", "c"]
        assert log.claimed(["n"]) == {"n"}

    def test_a_name_that_is_released_after_it_was_taken_is_free(self, log: EventLog) -> None:
        log.append_tracked([commit(claims=["n"]), commit(releases=["n"])], "policy", 1)
        assert log.claimed(["n"]) == frozenset()

    def test_a_name_that_is_taken_before_it_is_released_is_refused(self, log: EventLog) -> None:
        log.append(commit(claims=["n"]))
        with pytest.raises(AlreadyExists):
            log.append_tracked([commit(claims=["n"]), commit(releases=["n"])], "policy", 1)

    def test_a_guard_sees_what_an_earlier_commit_of_the_same_append_wrote(self, log: EventLog) -> None:
        log.append(commit(write("s", 0, "a")))
        with pytest.raises(StreamConflict):
            log.append_tracked([commit(write("s", 1, "b")), commit(write("t", 0, "c"), guards=[("s", 1)])], "p", 1)
        log.append_tracked([commit(write("t", 0, "c"), guards=[("s", 1)]), commit(write("s", 1, "b"))], "p", 1)
        assert texts(log.read(0, 10).events) == ["a", "c", "b"]

    def test_of_two_consumers_of_one_name_one_goes_on(self, log: EventLog) -> None:
        start = threading.Barrier(4)

        def race(name: int) -> bool:
            start.wait(10)
            try:
                log.append_tracked([commit(write(f"s{name}", 0, "x"))], "policy", 5)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(4) as threads:
            assert sorted(threads.map(race, range(4))) == [False, False, False, True]
        assert len(log.read(0, 10).events) == 1


class TestSizesAndNames:
    def test_one_event_of_8_megabytes_is_stored(self, log: EventLog) -> None:
        big = _file_processed(secrets.token_hex(4_000_000))
        log.append(commit(msgspec.structs.replace(write("big", 0), events=(big,))))
        (recorded,) = log.load("big")
        assert recorded.event == big

    def test_a_commit_of_600_events_of_10_kilobytes_is_stored(self, log: EventLog) -> None:
        many = tuple(_file_processed(secrets.token_hex(10_000)) for _ in range(600))
        position = log.append(commit(msgspec.structs.replace(write("many", 0), events=many)))
        assert position == log.head() == 600
        assert log.read(599, 10).events[0].event == many[-1]

    def test_a_refused_commit_of_many_big_events_is_told_too(self, log: EventLog) -> None:
        log.append(commit(claims=["md5:1"]))
        many = tuple(_file_processed(secrets.token_hex(10_000)) for _ in range(600))
        with pytest.raises(AlreadyExists):
            log.append(commit(msgspec.structs.replace(write("many", 0), events=many), claims=["md5:1"]))
        assert log.head() == 0

    @pytest.mark.parametrize(
        "stream", ["frame:ünïcode ✨", "", " ", "a'b\"c\\d", "new\nline", "%s", "é" * 1300, "{1,2}", "NULL"]
    )
    def test_any_text_is_a_stream(self, log: EventLog, stream: str) -> None:
        log.append(commit(write(stream, 0, "a ✨ \0 \n")))
        assert texts(log.load(stream)) == ["a ✨ \0 \n"]
        assert [recorded.stream for recorded in log.read(0, 10).events] == [stream]
        with pytest.raises(StreamConflict):
            log.append(commit(write(stream, 0, "b")))

    def test_streams_that_look_alike_are_two(self, log: EventLog) -> None:
        composed, decomposed = "caf\u00e9", "cafe\u0301"
        log.append(commit(write(composed, 0, "a"), write(decomposed, 0, "b"), write("CAFÉ", 0, "c")))
        assert texts(log.load(composed)) == ["a"]
        assert texts(log.load(decomposed)) == ["b"]

    @pytest.mark.parametrize("name", ["nul\0", "\ud800", "x" * 2601], ids=["NUL", "surrogate", "too long"])
    def test_a_name_that_cannot_be_stored_is_refused_and_never_found(self, log: EventLog, name: str) -> None:
        for wrong in (
            commit(write(name, 0, "a")),
            commit(claims=[name]),
            commit(releases=[name]),
            commit(guards=[(name, 0)]),
        ):
            with pytest.raises(InvalidInput, match=r"The name .* characters that can't be stored"):
                log.append(wrong)
            with pytest.raises(InvalidInput):
                log.append_tracked([wrong], "policy", 1)
        assert list(log.load(name)) == []
        assert log.load_many([name, "other"]) == {}
        assert log.claimed([name]) == frozenset()

    def test_an_event_that_could_not_be_read_again_is_refused(self, log: EventLog) -> None:
        for wrong in (
            TransferStarted(attempt="one", worker="w"),  # type: ignore[arg-type]
            TransferStarted(attempt=1, worker="\ud800"),
            TransferStarted(attempt=1, worker=object()),  # type: ignore[arg-type]
            _file_processed("x", headers=b'{"EXPTIME": NaN}'),
            _Unknown(),
        ):
            with pytest.raises(InvalidInput):
                log.append(commit(write("s", 0, "good"), msgspec.structs.replace(write("t", 0), events=(wrong,))))
        assert log.head() == 0

    def test_a_time_without_zone_is_refused(self, log: EventLog) -> None:
        with pytest.raises(InvalidInput):
            log.append(msgspec.structs.replace(commit(write("s", 0, "a")), at=NOW.replace(tzinfo=None)))


class _Unknown(Event, frozen=True, kw_only=True):
    topic = "test.unknown"


def _file_processed(text: str, headers: bytes | None = None) -> FileProcessed:
    raw = msgspec.Raw(headers if headers is not None else msgspec.json.encode({"COMMENT": text}))
    return FileProcessed(frame_id=1, record=FrameRecord(basename="b"), headers=raw, versions=())


class TestLongStreams:
    """5 000 events: what is remembered of them must never be seen."""

    def test_are_whole_however_they_grow(self, log: EventLog) -> None:
        for number in range(10):
            log.append(commit(write("s", 500 * number, *(f"{number}" for _ in range(500)))))
            assert [recorded.version for recorded in log.load("s")] == list(range(1, 500 * number + 501))
        assert texts(log.load("s"))[-501:] == ["8", *["9"] * 500]
        log.append(commit(write("s", 5000, "last")))
        assert texts(log.load("s"))[-1] == "last"
        assert len(log.load_many(["s"])["s"]) == 5001
        with pytest.raises(StreamConflict):
            log.append(commit(write("s", 5000, "late")))


def test_a_log_that_was_put_back_is_read_anew(shared: Shared) -> None:
    shared.empty()
    log = shared.postgres
    log.append(commit(write("s", 0, *("a" for _ in range(300)))))
    assert len(log.load("s")) == 300
    shared.empty()
    assert list(log.load("s")) == []
    log.append(commit(write("t", 0, "elsewhere"), write("s", 0, *("b" for _ in range(300)))))
    assert set(texts(log.load("s"))) == {"b"}
