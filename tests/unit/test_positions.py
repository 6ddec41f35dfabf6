"""Which position a time means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.ports.event_log import Commit, Write
from application.positions import NEAR, point_of
from domain.accounts import AccountCreated
from domain.errors import InvalidInput
from domain.event import Cause

START = datetime(2026, 11, 1, tzinfo=UTC)
LATER = START + timedelta(days=1)


def second(number: float) -> datetime:
    return START + timedelta(seconds=number)


def log_of(*times: float) -> MemoryEventLog:
    """A log whose events were recorded at these seconds."""
    log = MemoryEventLog()
    for number, time in enumerate(times):
        write = Write(f"account:{number}", 0, (AccountCreated(username=str(number)),))
        log.append(Commit(writes=(write,), cause=Cause(actor="a", via="cli"), at=second(time)))
    return log


def test_a_time_means_the_last_position_recorded_by_then() -> None:
    log = log_of(*range(20))
    for time, position in ((-1, 0), (0, 1), (0.5, 1), (7, 8), (18.9, 19), (19, 20), (500, 20)):
        point = point_of(log, second(time), LATER)
        assert point.position == position
        assert point.at == (second(position - 1) if position else None)


def test_times_that_are_a_little_out_of_order_all_count() -> None:
    log = log_of(0, 1, 4, 2, 3, 5, 6, 8, 7)
    assert [point_of(log, second(time), LATER).position for time in (1.5, 2, 3, 4, 7)] == [2, 4, 5, 5, 9]
    assert NEAR > 9


def test_a_position_is_itself_and_one_that_is_to_come_is_refused() -> None:
    log = log_of(0, 1, 2)
    assert point_of(log, 2, LATER).at == second(1)
    assert point_of(log, 0, LATER).at is None
    for position in (-1, 4):
        with pytest.raises(InvalidInput, match="positions are 0 to 3"):
            point_of(log, position, LATER)


def test_a_time_that_is_to_come_is_refused() -> None:
    with pytest.raises(InvalidInput, match="still to come"):
        point_of(log_of(0), LATER + timedelta(seconds=1), LATER)


def test_an_empty_log_has_one_position() -> None:
    assert point_of(log_of(), second(5), LATER).position == 0
