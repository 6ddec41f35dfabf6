"""Which streams are remembered, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime

from adapters.event_store.long_streams import NOTHING, LongStreams
from domain.event import Cause, Recorded
from domain.transfer_events import TransferHeld


def events(first: int, last: int) -> list[Recorded]:
    cause = Cause(actor="tester", via="api")
    at = datetime(2026, 11, 28, tzinfo=UTC)
    return [Recorded("s", n, n, at, cause, TransferHeld(reason=str(n))) for n in range(first, last + 1)]


def test_a_short_stream_is_not_remembered() -> None:
    streams = LongStreams(long=3)
    assert list(streams.grown("s", NOTHING, events(1, 2), 20)) == events(1, 2)
    assert streams.known("s") == NOTHING


def test_a_long_one_is_and_grows() -> None:
    streams = LongStreams(long=3)
    streams.grown("s", NOTHING, events(1, 3), 30)
    known = streams.known("s")
    assert (list(known.events), known.size) == (events(1, 3), 30)
    assert list(streams.grown("s", known, events(4, 5), 20)) == events(1, 5)
    assert streams.known("s").size == 50
    assert list(streams.grown("s", streams.known("s"), [], 0)) == events(1, 5)


def test_the_one_not_asked_for_longest_is_forgotten_when_there_are_too_many() -> None:
    streams = LongStreams(long=1, budget=25)
    for name in ("a", "b"):
        streams.grown(name, NOTHING, events(1, 1), 10)
    streams.known("a")
    streams.grown("c", NOTHING, events(1, 1), 10)
    assert [bool(streams.known(name).events) for name in "abc"] == [True, False, True]


def test_one_that_is_larger_than_all_room_is_not_kept() -> None:
    streams = LongStreams(long=1, budget=25)
    assert len(streams.grown("a", NOTHING, events(1, 4), 40)) == 4
    assert streams.known("a") == NOTHING
    streams.grown("b", NOTHING, events(1, 1), 25)
    assert streams.known("b").size == 25


def test_what_a_slower_reader_brings_is_no_harm() -> None:
    streams = LongStreams(long=1)
    streams.grown("s", NOTHING, events(1, 3), 30)
    assert len(streams.grown("s", NOTHING, events(1, 2), 20)) == 2
    known = streams.known("s")
    assert list(known.events) == events(1, 2), "what is remembered is the stream's beginning all the same"
    assert list(streams.grown("s", known, events(3, 3), 10)) == events(1, 3)
