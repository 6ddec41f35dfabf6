"""A slow destination never has all places of a worker (S59)."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from application.fair_share import may_begin, places_for


def filled(places: int, *destinations: str) -> Counter[str]:
    """Each destination in turn takes all that it can get."""
    running: Counter[str] = Counter()
    for destination in destinations:
        while may_begin(running, destination, places):
            running[destination] += 1
    return running


def test_s59_one_destination_alone_gets_what_the_setting_says() -> None:
    assert filled(places_for(4), "a") == {"a": 4}
    assert filled(places_for(1), "a") == {"a": 1}


def test_s59_each_further_destination_gets_half_of_the_rest() -> None:
    assert filled(places_for(4), "a", "b", "c", "d") == {"a": 4, "b": 2, "c": 1, "d": 1}


@given(st.integers(min_value=1, max_value=64))
def test_s59_whatever_one_takes_a_place_is_left_for_another(concurrency: int) -> None:
    running = filled(places_for(concurrency), "slow")
    assert may_begin(running, "other", places_for(concurrency))


@given(st.integers(min_value=1, max_value=16), st.lists(st.sampled_from("abcde"), max_size=60))
def test_s59_no_worker_carries_more_than_its_places(concurrency: int, wishes: list[str]) -> None:
    running: Counter[str] = Counter()
    for wish in wishes:
        if may_begin(running, wish, places_for(concurrency)):
            running[wish] += 1
    assert running.total() <= places_for(concurrency)
