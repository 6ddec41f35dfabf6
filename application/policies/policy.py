"""What a policy is, and what it may say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from application.ports.event_log import Commit, Write
from domain.event import Cause, Event, Recorded


class Policy(Protocol):
    """Reacts to events of its topics. Pure apart from reading the log and lookups; repeating it changes nothing."""

    name: str
    topics: frozenset[str]

    def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:
        """The commits that these events call for. `taken` are claims that a first try found taken."""
        ...


class Effect(Protocol):
    """Reacts to events with a side effect that may be repeated (a nudge, the removal of bytes)."""

    name: str
    topics: frozenset[str]

    def act(self, batch: Sequence[Recorded]) -> None:
        """Do it. Raises RetryLater to be asked again later with the same events."""
        ...


def commit_of(policy: str, trigger: Recorded, stream: str, expected: int, *events: Event, now: datetime) -> Commit:
    """A policy's commit, tied to the event that it reacted to."""
    return Commit(writes=(Write(stream, expected, events),), cause=cause_of(policy, trigger), at=now)


def cause_of(policy: str, trigger: Recorded) -> Cause:
    """Who and why, for what a policy does on account of an event."""
    return Cause(
        actor=f"policy:{policy}", via="policy", correlation=trigger.cause.correlation, causation=trigger.position
    )


def with_claims(commit: Commit, *claims: str) -> Commit:
    """The same commit, taking names."""
    return msgspec.structs.replace(commit, claims=(*commit.claims, *claims))
