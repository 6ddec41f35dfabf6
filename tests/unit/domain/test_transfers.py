"""One version going to one destination: what a transfer allows, refuses and remembers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from domain import transfers
from domain.errors import NotAllowedNow
from domain.event import Event
from domain.transfer_events import (
    TransferAttemptFailed,
    TransferCancelled,
    TransferChecked,
    TransferCheckRequested,
    TransferCleared,
    TransferFailed,
    TransferHeld,
    TransferInterrupted,
    TransferReleased,
    TransferRetried,
)
from domain.transfers import Transfer
from tests.fakes.clock import NOON
from tests.fakes.samples import completed, recorded, started, transfer_requested

REQUESTED = transfer_requested(7, "cfg-a")


def after(*events: Event, at: datetime = NOON) -> Transfer:
    return transfers.fold(recorded(REQUESTED, *events, at=at))


def then(transfer: Transfer, events: tuple[Event, ...], at: datetime = NOON) -> Transfer:
    for entry in recorded(*events, at=at):
        transfer = transfers.evolve(transfer, entry)
    return transfer


def failing(attempt: int, failures: int, minutes: float) -> TransferAttemptFailed:
    return TransferAttemptFailed(
        attempt=attempt,
        failures=failures,
        reason="Timed out.",
        error="RetryLater",
        next_attempt_at=NOON + timedelta(minutes=minutes),
    )


HELD = TransferHeld(reason="The destination must be authorized again.")
FAILED = TransferFailed(attempt=1, reason="No such bucket.", error="GiveUp")
CANCELLED = TransferCancelled(reason="Cancelled by ana.")
ENDED = [[started(), completed()], [started(), FAILED], [CANCELLED]]


def test_the_id_says_which_version_goes_where() -> None:
    assert transfers.transfer_id(42, "cfg-x") == "v42-cfg-x"
    assert transfers.stream_of("v42-cfg-x") == "transfer:v42-cfg-x"


def test_s38_a_requested_transfer_is_pending_with_no_attempts() -> None:
    state = after()
    assert (state.status, state.attempts, state.failures, state.held) == ("pending", 0, 0, False)
    assert state.request == REQUESTED
    assert state.stream_version == 1


def test_s39_starting_counts_the_attempt_and_names_the_worker() -> None:
    events = transfers.start(after(), "w9", NOON)
    assert events == (started(1, "w9"),)
    state = then(after(), events)
    assert (state.status, state.attempts, state.worker) == ("in_progress", 1, "w9")


def test_a_transfer_that_nobody_requested_cannot_start() -> None:
    with pytest.raises(NotAllowedNow, match="no such transfer"):
        transfers.start(Transfer(), "w1", NOON)


@pytest.mark.parametrize("history", [[started()], [HELD], *ENDED])
def test_only_a_pending_transfer_that_is_not_held_can_start(history: list[Event]) -> None:
    with pytest.raises(NotAllowedNow):
        transfers.start(after(*history), "w1", NOON)


def test_a_transfer_cannot_start_before_its_next_attempt_is_due() -> None:
    state = after(started(), failing(1, 1, minutes=5))
    with pytest.raises(NotAllowedNow, match="isn't due"):
        transfers.start(state, "w1", NOON + timedelta(minutes=4, seconds=59))
    assert transfers.start(state, "w1", NOON + timedelta(minutes=5)) == (started(2, "w1"),)


def test_a_checkpoint_says_how_many_bytes_are_confirmed() -> None:
    state = then(after(started()), transfers.checkpoint(after(started()), 1, 4096))
    assert (state.status, state.bytes_sent) == ("in_progress", 4096)


def test_s40_a_completed_transfer_keeps_what_was_verified() -> None:
    events = transfers.complete(after(started()), 1, "/there/x.fits", "rev-1", 10, {"sha256": "ab"})
    state = then(after(started()), events)
    assert state.status == "completed"
    assert state.completed is not None
    assert state.completed.verified == {"sha256": "ab"}
    assert (state.completed.remote_id, state.bytes_sent, state.reason) == ("rev-1", 10, "")


def test_s40_s53_a_transfer_never_completes_without_an_equal_checksum() -> None:
    with pytest.raises(NotAllowedNow, match="checksum"):
        transfers.complete(after(started()), 1, "/there/x.fits", "rev-1", 10, {})


@pytest.mark.parametrize(("failures", "minutes"), [(0, 5), (1, 10), (2, 20)])
def test_s38_s43_the_next_attempts_are_5_10_and_20_minutes_after_the_failures(failures: int, minutes: int) -> None:
    earlier = [event for n in range(1, failures + 1) for event in (started(n), failing(n, n, 0))]
    state = after(*earlier, started(failures + 1))
    (event,) = transfers.fail_attempt(state, failures + 1, reason="Timed out.", error="RetryLater", now=NOON)
    assert event == failing(failures + 1, failures + 1, minutes)
    waiting = then(state, (event,))
    assert (waiting.status, waiting.failures) == ("pending", failures + 1)
    assert waiting.next_attempt_at == NOON + timedelta(minutes=minutes)
    assert waiting.reason == "Timed out."


def test_s41_s43_the_fourth_failure_is_final() -> None:
    state = after(*[event for n in range(1, 4) for event in (started(n), failing(n, n, 0))], started(4))
    (event,) = transfers.fail_attempt(state, 4, reason="Timed out.", error="RetryLater", now=NOON)
    assert event == TransferFailed(attempt=4, reason="Timed out.", error="RetryLater")
    failed = then(state, (event,))
    assert (failed.status, failed.reason, failed.next_attempt_at) == ("failed", "Timed out.", None)


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(None, 300), (1.0, 300), (299.0, 300), (301.0, 301), (86_400.0, 86_400)]
)
def test_s44_a_longer_retry_after_wins_and_a_shorter_one_never_shortens_the_wait(
    retry_after: float | None, seconds: float
) -> None:
    (event,) = transfers.fail_attempt(
        after(started()), 1, reason="Busy.", error="RetryLater", now=NOON, retry_after=retry_after
    )
    assert isinstance(event, TransferAttemptFailed)
    assert event.next_attempt_at == NOON + timedelta(seconds=seconds)


def test_a_retry_after_adds_no_attempt_to_the_schedule() -> None:
    state = after(*[event for n in range(1, 4) for event in (started(n), failing(n, n, 0))], started(4))
    (event,) = transfers.fail_attempt(state, 4, reason="Busy.", error="RetryLater", now=NOON, retry_after=9000.0)
    assert isinstance(event, TransferFailed)


def test_a_shorter_schedule_may_be_given() -> None:
    (event,) = transfers.fail_attempt(after(started()), 1, reason="r", error="e", now=NOON, schedule=(1.5,))
    assert isinstance(event, TransferAttemptFailed)
    assert event.next_attempt_at == NOON + timedelta(seconds=1.5)
    again = after(started(), failing(1, 1, 0), started(2))
    (event,) = transfers.fail_attempt(again, 2, reason="r", error="e", now=NOON, schedule=(1.5,))
    assert isinstance(event, TransferFailed)


def test_s41_a_fault_that_no_retry_can_mend_fails_at_the_first_attempt() -> None:
    events = transfers.give_up(after(started()), 1, reason="No such bucket.", error="GiveUp")
    assert events == (FAILED,)
    assert then(after(started()), events).status == "failed"


@pytest.mark.parametrize(
    "history",
    [
        [],
        [started(), failing(1, 1, 5)],
        [started(), failing(1, 1, 0), started(2)],
        [started(), TransferInterrupted(attempt=1, reason="lost"), started(2, "w2")],
        [started(), HELD],
        *ENDED,
    ],
)
def test_a_worker_that_was_overtaken_can_say_nothing_more(history: list[Event]) -> None:
    state = after(*history)
    decisions: tuple[Callable[[], object], ...] = (
        lambda: transfers.checkpoint(state, 1, 5),
        lambda: transfers.complete(state, 1, "/x", "r", 1, {"md5": "0"}),
        lambda: transfers.fail_attempt(state, 1, reason="r", error="e", now=NOON),
        lambda: transfers.give_up(state, 1, reason="r", error="e"),
    )
    for decide in decisions:
        with pytest.raises(NotAllowedNow, match="moved on without this worker"):
            decide()


def test_s49_an_interrupted_attempt_goes_on_at_once_and_uses_none_up() -> None:
    state = after(started(), failing(1, 1, 0), started(2))
    again = then(state, transfers.interrupt(state, 2, "The worker was lost."))
    assert (again.status, again.failures, again.next_attempt_at) == ("pending", 1, None)
    assert transfers.start(again, "w2", NOON) == (started(3, "w2"),)


@pytest.mark.parametrize("history", [[], [started(), failing(1, 1, 5)], [started(), HELD, started(2)], *ENDED])
def test_interrupting_an_attempt_that_is_over_changes_nothing(history: list[Event]) -> None:
    assert transfers.interrupt(after(*history), 1, "The worker was lost.") == ()


@pytest.mark.parametrize("history", [[], [started()], [started(), failing(1, 1, 0)]])
def test_s45_s46_holding_and_releasing_uses_up_no_attempt(history: list[Event]) -> None:
    before = after(*history)
    held = then(before, transfers.hold(before, "The destination must be authorized again."))
    assert (held.status, held.held, held.failures) == ("pending", True, before.failures)
    assert held.reason == "The destination must be authorized again."
    released = then(held, transfers.release(held))
    assert (released.status, released.held, released.failures) == ("pending", False, before.failures)
    assert transfers.start(released, "w1", NOON)


def test_a_released_transfer_is_due_at_once() -> None:
    released = after(started(), failing(1, 1, minutes=5), HELD, TransferReleased())
    assert transfers.start(released, "w1", NOON) == (started(2),)


@pytest.mark.parametrize("history", [[HELD], *ENDED])
def test_what_is_held_or_over_cannot_be_held(history: list[Event]) -> None:
    assert transfers.hold(after(*history), "Full.") == ()


@pytest.mark.parametrize("history", [[], [started()], *ENDED, [HELD, CANCELLED]])
def test_releasing_what_is_not_held_changes_nothing(history: list[Event]) -> None:
    assert transfers.release(after(*history)) == ()


def test_s46_a_transfer_waits_a_week_for_a_paused_destination_and_then_fails_with_its_reason() -> None:
    state = after()
    for hours in range(7 * 24):
        now = NOON + timedelta(hours=hours)
        (event,) = transfers.wait_for_pause(state, "The account is full.", now, NOON)
        assert isinstance(event, TransferHeld)
        state = then(state, (event, TransferReleased(), started(state.attempts + 1)), at=now)
    a_week_later = NOON + timedelta(days=7)
    (event,) = transfers.wait_for_pause(state, "The account is full.", a_week_later, NOON)
    assert isinstance(event, TransferFailed)
    assert event.reason == "The account is full."
    assert then(state, (event,)).failures == 0
    for since in (None, NOON + timedelta(hours=1)):
        (event,) = transfers.wait_for_pause(state, "The account is full.", a_week_later, since)
        assert isinstance(event, TransferHeld), "the destination has taken a file meanwhile"


def test_waiting_for_authorization_does_not_count_as_a_pause() -> None:
    state = after(HELD, TransferReleased(), started())
    (event,) = transfers.wait_for_pause(state, "The account is full.", NOON + timedelta(days=30), NOON)
    assert isinstance(event, TransferHeld)


def test_s46_the_week_begins_anew_after_a_copy_a_failure_of_another_kind_or_a_manual_retry() -> None:
    full = TransferHeld(reason="Full.", paused=True)
    much_later = NOON + timedelta(days=8)
    another_fault = after(full, TransferReleased(), started(), failing(1, 1, 5), started(2))
    retried = after(full, TransferReleased(), started(), FAILED, TransferRetried(), started(2))
    delivered = after(full, TransferReleased(), started(), completed())
    assert delivered.paused_since is None
    lost = after(
        full, TransferReleased(), started(), completed(), TransferChecked(outcome="missing"), TransferRetried()
    )
    for state in (another_fault, retried, lost):
        (event,) = transfers.wait_for_pause(state, "Full.", much_later, NOON)
        assert isinstance(event, TransferHeld)


@pytest.mark.parametrize("history", [[], [started()], [started(), failing(1, 1, 5)], [HELD]])
def test_s42_s48_a_transfer_can_be_cancelled_while_pending_held_or_running(history: list[Event]) -> None:
    state = after(*history)
    cancelled = then(state, transfers.cancel(state, "Cancelled by ana."))
    assert (cancelled.status, cancelled.held, cancelled.reason) == ("cancelled", False, "Cancelled by ana.")
    assert cancelled.next_attempt_at is None


def test_cancelling_twice_changes_nothing() -> None:
    assert transfers.cancel(after(CANCELLED), "Again.") == ()


@pytest.mark.parametrize("lost", [TransferChecked(outcome="missing"), TransferChecked(outcome="changed"), None])
def test_s42_a_failed_transfer_or_one_whose_copy_is_lost_can_be_given_up(lost: Event | None) -> None:
    state = after(started(), completed(), lost, TransferCheckRequested()) if lost else after(started(), FAILED)
    given_up = then(state, transfers.cancel(state, "Cancelled by ana."))
    assert (given_up.status, given_up.checking, given_up.delivered) == ("cancelled", False, False)
    assert transfers.cancel(given_up, "Again.") == ()


def test_a_transfer_that_was_cleared_away_is_not_cancelled_by_hand_but_with_its_destination() -> None:
    state = after(started(), FAILED, TransferCleared())
    with pytest.raises(NotAllowedNow, match="cleared away"):
        transfers.cancel(state, "Cancelled by ana.")
    assert transfers.abandon(state, "Gone.") == (TransferCancelled(reason="Gone."),)


@pytest.mark.parametrize("found", [[], [TransferChecked(outcome="verified")]])
def test_a_copy_that_is_there_cannot_be_cancelled(found: list[Event]) -> None:
    with pytest.raises(NotAllowedNow, match="only one that is pending or running"):
        transfers.cancel(after(started(), completed(), *found), "Cancelled by ana.")


def test_s47_a_manual_retry_queues_at_once_with_a_fresh_counter() -> None:
    state = after(*[event for n in range(1, 4) for event in (started(n), failing(n, n, 0))], started(4), FAILED)
    again = then(state, transfers.retry(state))
    assert (again.status, again.failures, again.next_attempt_at, again.reason) == ("pending", 0, None, "")
    assert transfers.start(again, "w1", NOON) == (started(5, "w1"),)


@pytest.mark.parametrize(
    "history", [[], [started()], [HELD], [started(), failing(1, 1, 5)], [started(), completed()], [CANCELLED]]
)
def test_only_a_failed_transfer_can_be_retried(history: list[Event]) -> None:
    with pytest.raises(NotAllowedNow, match="only a failed one"):
        transfers.retry(after(*history))
