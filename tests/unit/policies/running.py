"""One policy and the log that it reads and writes."""

from __future__ import annotations

from copy import copy

from application.policies.policy import Effect, Policy
from application.policies.runner import PolicyRunner
from application.ports.event_log import EventLog
from domain.event import Event
from tests.fakes.clock import StillClock
from tests.fakes.jobs import ListedDeadLetters


def run(policy: Policy | Effect, log: EventLog) -> list[Event]:
    """Let the policy handle all that it hasn't yet, its own events included, and return the events that followed.
    Fails when it sets something aside."""
    dead = ListedDeadLetters()
    runner = PolicyRunner(policy, log, StillClock(), dead)
    before = log.head()
    while (batch := log.read(runner.position, 500)).upto > runner.position:
        runner.advance(batch.events, batch.upto)
    assert not dead.letters
    return [recorded.event for recorded in log.read(before, 10_000).events]


def replay(policy: Policy | Effect, log: EventLog) -> list[Event]:
    """Let the policy see everything again, as after the loss of its checkpoint, and return what followed."""
    again = copy(policy)
    again.name = f"{policy.name} again at {log.head()}"
    return run(again, log)
