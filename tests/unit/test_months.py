"""The windows of a search by months hold all of time once, and every frame's key is asked for in its window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.frames.months import AHEAD, LATER, month_key, windows

MOMENTS = st.datetimes(datetime(1960, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(st.datetimes(max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_windows_follow_each_other_without_a_gap(now: datetime) -> None:
    found = windows(now)
    assert found[0].upper is None
    assert found[-1].lower is None
    assert not found[-1].keys
    assert [window.lower for window in found[:-1]] == [window.upper for window in found[1:]]
    assert all(window.upper is None or window.lower is None or window.lower < window.upper for window in found)


@given(
    now=MOMENTS,
    back=st.timedeltas(timedelta(-60), timedelta(days=4000)),
    ago=st.timedeltas(timedelta(0), timedelta(days=4000)),
)
def test_a_frame_that_has_arrived_is_asked_for_by_its_key_in_the_window_of_its_date(
    now: datetime, back: timedelta, ago: timedelta
) -> None:
    observed, arrived = now - back, now - ago
    key = month_key(observed, arrived)
    (window,) = (
        one
        for one in windows(now)
        if (one.lower is None or observed >= one.lower) and (one.upper is None or observed < one.upper)
    )
    assert key is not None
    assert not window.keys or key in window.keys


@given(observed=MOMENTS, at=MOMENTS)
def test_keys_are_small_and_no_trigrams(observed: datetime, at: datetime) -> None:
    key = month_key(observed, at)
    assert key is not None
    assert LATER <= key < 0


def test_months_are_those_of_utc_and_what_is_dated_ahead_has_a_key_of_its_own() -> None:
    at = datetime(2026, 12, 1, tzinfo=UTC)
    east = datetime(2026, 12, 1, 5, tzinfo=timezone(timedelta(hours=9)))
    assert month_key(east, at) == month_key(datetime(2026, 11, 2, tzinfo=UTC), at)
    assert month_key(at + AHEAD, at) != LATER
    assert month_key(at + AHEAD + timedelta(seconds=1), at) == LATER
    assert month_key(None, at) is None


@pytest.mark.parametrize("year", [1, 1850, 1899, 9999])
def test_dates_far_off_have_keys_too(year: int) -> None:
    key = month_key(datetime(year, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    assert key == (LATER if year == 9999 else -1)
