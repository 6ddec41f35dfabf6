"""One transfer under any order of commands, with overtaken workers and time going on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from adapters.event_store.mapper import EventMapper
from domain import transfers
from domain.errors import NotAllowedNow
from domain.event import Event, Recorded
from domain.transfer_events import (
    TransferAttemptFailed,
    TransferCancelled,
    TransferChecked,
    TransferCheckFailed,
    TransferCheckRequested,
    TransferCompleted,
    TransferFailed,
    TransferRetried,
    TransferStarted,
)
from domain.transfers import PAUSE_LIMIT, Transfer
from tests.fakes.clock import NOON
from tests.fakes.samples import CAUSE, transfer_requested
from tests.property.effort import searching

MAPPER = EventMapper()
MINUTES = [5, 10, 20]
CHECKS = TransferCheckRequested | TransferChecked | TransferCheckFailed


class TransferMachine(RuleBasedStateMachine):
    """The model beside the aggregate: what a person would keep on a sheet of paper."""

    @initialize()
    def request(self) -> None:
        self.now = NOON
        self.history: list[Recorded] = []
        self.state = Transfer()
        self.status = "pending"
        self.held = False
        self.starts = 0
        self.failures = 0
        self.due = NOON
        self.copy: str | None = None
        self.checking = False
        self._store(transfer_requested(7, "cfg-a"))

    @rule(minutes=st.integers(min_value=0, max_value=45))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def start(self, worker: str) -> None:
        allowed = self.status == "pending" and not self.held and self.due <= self.now
        if self._try(allowed, lambda: transfers.start(self.state, worker, self.now)):
            self.starts += 1
            self.status = "in_progress"
            assert self.state.worker == worker

    @rule(stale=st.booleans(), sent=st.integers(min_value=0, max_value=10**12))
    def checkpoint(self, stale: bool, sent: int) -> None:
        if self._try(self._runs(stale), lambda: transfers.checkpoint(self.state, self._attempt(stale), sent)):
            assert self.state.bytes_sent == sent

    @rule(stale=st.booleans(), verified=st.booleans())
    def complete(self, stale: bool, verified: bool) -> None:
        proof = {"md5": "00"} if verified else {}
        allowed = self._runs(stale) and verified
        if self._try(allowed, lambda: transfers.complete(self.state, self._attempt(stale), "/x", "r", 1, proof)):
            self.status = "completed"

    @rule(stale=st.booleans(), retry_after=st.one_of(st.none(), st.floats(min_value=0, max_value=7200)))
    def fail(self, stale: bool, retry_after: float | None) -> None:
        if self._try(
            self._runs(stale),
            lambda: transfers.fail_attempt(
                self.state, self._attempt(stale), reason="r", error="e", now=self.now, retry_after=retry_after
            ),
        ):
            self.failures += 1
            if self.failures == 4:
                self.status = "failed"
            else:
                self.status = "pending"
                wait = timedelta(minutes=MINUTES[self.failures - 1])
                self.due = self.now + max(wait, timedelta(seconds=retry_after or 0))

    @rule(stale=st.booleans())
    def give_up(self, stale: bool) -> None:
        attempt = self._attempt(stale)
        if self._try(self._runs(stale), lambda: transfers.give_up(self.state, attempt, reason="r", error="e")):
            self.status = "failed"

    @rule(stale=st.booleans())
    def interrupt(self, stale: bool) -> None:
        runs = self._runs(stale)
        events = transfers.interrupt(self.state, self._attempt(stale), "lost")
        assert bool(events) is runs
        self._store(*events)
        if runs:
            self.status, self.due = "pending", self.now

    @rule()
    def hold(self) -> None:
        open_ = self.status in ("pending", "in_progress") and not self.held
        events = transfers.hold(self.state, "Authorize again.")
        assert bool(events) is open_
        self._store(*events)
        if open_:
            self.status, self.held = "pending", True

    @rule(days=st.one_of(st.none(), st.integers(0, 9)))
    def pause(self, days: int | None) -> None:
        open_ = self.status in ("pending", "in_progress") and not self.held
        since, nothing = self.state.paused_since, None if days is None else self.now - timedelta(days=days)
        events = transfers.wait_for_pause(self.state, "Full.", self.now, nothing)
        assert bool(events) is open_
        self._store(*events)
        if open_ and since and nothing and self.now - since >= PAUSE_LIMIT and self.now - nothing >= PAUSE_LIMIT:
            self.status = "failed"
        elif open_:
            self.status, self.held = "pending", True

    @rule()
    def release(self) -> None:
        events = transfers.release(self.state)
        assert bool(events) is self.held
        self._store(*events)
        if self.held:
            self.held, self.due = False, self.now

    @rule()
    def cancel(self) -> None:
        allowed = self.status != "completed" or self.copy in ("missing", "changed")
        if self._try(allowed, lambda: transfers.cancel(self.state, "Cancelled.")):
            self.status, self.held, self.checking = "cancelled", False, False

    @rule()
    def abandon(self) -> None:
        left = self.status in ("pending", "failed")
        events = transfers.abandon(self.state, "Its storage configuration was deleted.")
        assert bool(events) is left
        self._store(*events)
        if left:
            self.status, self.held = "cancelled", False

    @rule()
    def retry(self) -> None:
        lost = self.status == "completed" and self.copy == "missing"
        if self._try(self.status == "failed" or lost, lambda: transfers.retry(self.state)):
            self.status, self.held, self.failures, self.due = "pending", False, 0, self.now
            self.copy, self.checking = None, False

    @rule()
    def ask_for_a_check(self) -> None:
        self._try(self.status == "completed", lambda: transfers.request_check(self.state))
        self.checking = self.status == "completed"

    @rule(outcome=st.sampled_from(["verified", "missing", "changed"]))
    def tell_of_a_check(self, outcome: Any) -> None:
        events = transfers.checked(self.state, TransferChecked(outcome=outcome))
        assert bool(events) is self.checking
        self._store(*events)
        if self.checking:
            self.copy, self.checking = outcome, False

    @rule(passing=st.booleans())
    def fail_a_check(self, passing: bool) -> None:
        before = self.state.check_failures
        events = transfers.fail_check(self.state, reason="r", error="e", now=self.now, passing=passing)
        assert bool(events) is self.checking
        self._store(*events)
        if self.checking and not (passing and before < 3):
            self.checking = False

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.state.status == self.status
        assert self.state.held is self.held
        assert self.state.attempts == self.starts
        assert (self.state.copy, self.state.checking) == (self.copy, self.checking)
        assert self.state == transfers.fold(self.history)
        assert self.state.stream_version == len(self.history)

    @invariant()
    def keeps_the_contract(self) -> None:
        state = self.state
        assert state.status in get_args(transfers.Status)
        assert not (state.held and state.status != "pending")
        assert state.failures <= 3
        assert (state.completed is not None) is (state.status == "completed")
        assert state.completed is None or state.completed.verified
        assert state.next_attempt_at is None or state.status == "pending"
        assert not state.checking or state.status == "completed"
        assert state.delivered is (state.status == "completed" and state.copy in (None, "verified"))

    @invariant()
    def history_makes_sense(self) -> None:
        events = [entry.event for entry in self.history]
        rounds = 1 + sum(isinstance(event, TransferRetried) for event in events)
        assert sum(isinstance(event, TransferCompleted) for event in events) <= rounds
        starts = [event.attempt for event in events if isinstance(event, TransferStarted)]
        assert starts == list(range(1, self.starts + 1))
        for before, event in pairwise(events):
            if isinstance(before, TransferCompleted | CHECKS):
                allowed = CHECKS | TransferRetried | TransferCancelled
                assert isinstance(event, allowed), "a completed one is checked, sent again or given up"
        failures = 0
        for event in events:
            if isinstance(event, TransferAttemptFailed | TransferFailed):
                failures += 1
            if isinstance(event, TransferRetried):
                failures = 0
            assert failures <= 4

    def _attempt(self, stale: bool) -> int:
        return self.starts - 1 if stale else self.starts

    def _runs(self, stale: bool) -> bool:
        return self.status == "in_progress" and not stale

    def _try(self, allowed: bool, decide: Callable[[], tuple[Event, ...]]) -> bool:
        """Whether something happened; refused exactly when the model says so."""
        if not allowed:
            with pytest.raises(NotAllowedNow):
                decide()
            return False
        events = decide()
        self._store(*events)
        return bool(events)

    def _store(self, *events: Event) -> None:
        for event in events:
            number = len(self.history) + 1
            entry = Recorded("transfer:v7-cfg-a", number, number, self.now, CAUSE, event)
            assert MAPPER.to_domain_event(MAPPER.to_stored_event(entry)) == msgspec.structs.replace(entry, position=0)
            self.history.append(entry)
            self.state = transfers.evolve(self.state, entry)


TransferMachine.TestCase.settings = searching(80, 40)
TestTransferMachine = TransferMachine.TestCase
