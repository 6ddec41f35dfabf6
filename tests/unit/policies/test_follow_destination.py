"""When a destination works again its transfers go on; when it is deleted, those not yet started are cancelled."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.policies.follow_destination import FollowDestination
from domain import storage_configs, transfers
from domain.event import Event
from domain.storage_configs import (
    StorageConfigAuthorizationLost,
    StorageConfigAuthorized,
    StorageConfigDeleted,
    StorageConfigPaused,
    StorageConfigResumed,
)
from domain.transfer_events import (
    TransferAttemptFailed,
    TransferCancelled,
    TransferFailed,
    TransferHeld,
    TransferInterrupted,
    TransferReleased,
)
from tests.fakes.clock import NOON, StillClock
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import completed, configured, record, started, transfer_requested, transfer_state
from tests.unit.policies.running import replay, run

LOST = StorageConfigAuthorizationLost(reason="Revoked.")
HELD = TransferHeld(reason="Authorize again.")


@pytest.fixture
def log() -> MemoryEventLog:
    log = MemoryEventLog()
    configured(log, "a")
    configured(log, "b")
    return log


@pytest.fixture
def policy(log: MemoryEventLog) -> FollowDestination:
    return FollowDestination(log, LogLookups(log, StillClock()))


def transfer(log: MemoryEventLog, number: int, config: str, *events: Event) -> None:
    requested = transfer_requested(number, config)
    record(log, transfers.stream_of(requested.id), requested, *events)


def happens(log: MemoryEventLog, config: str, *events: Event) -> None:
    record(log, storage_configs.stream_of(config), *events)


def test_s45_authorizing_again_releases_what_was_held(log: MemoryEventLog, policy: FollowDestination) -> None:
    happens(log, "a", LOST)
    transfer(log, 1, "a", HELD)
    transfer(log, 2, "a", started(), HELD)
    transfer(log, 3, "b", HELD)
    happens(log, "a", StorageConfigAuthorized())
    assert run(policy, log) == [TransferReleased(), TransferReleased()]
    assert transfer_state(log, "v3-b").held, "another destination's transfers go on waiting"


def test_s46_resuming_releases_what_was_held(log: MemoryEventLog, policy: FollowDestination) -> None:
    happens(log, "a", StorageConfigPaused(reason="Full.", until=NOON))
    transfer(log, 1, "a", HELD)
    happens(log, "a", StorageConfigResumed())
    assert run(policy, log) == [TransferReleased()]


def test_a_destination_with_two_troubles_waits_for_the_end_of_both(
    log: MemoryEventLog, policy: FollowDestination
) -> None:
    happens(log, "a", LOST, StorageConfigPaused(reason="Full.", until=NOON))
    transfer(log, 1, "a", HELD)
    happens(log, "a", StorageConfigAuthorized())
    assert run(policy, log) == []
    happens(log, "a", StorageConfigResumed())
    assert run(policy, log) == [TransferReleased()]


def test_s34_s42_deleting_cancels_what_waits_or_has_failed_and_leaves_the_rest(
    log: MemoryEventLog, policy: FollowDestination
) -> None:
    transfer(log, 1, "a")
    transfer(log, 2, "a", HELD)
    transfer(log, 3, "a", started())
    transfer(log, 4, "a", started(), completed())
    transfer(log, 5, "a", started(), TransferFailed(attempt=1, reason="r", error="e"))
    transfer(log, 6, "b")
    happens(log, "a", StorageConfigDeleted())
    gone = TransferCancelled(reason="Its storage configuration was deleted.")
    assert run(policy, log) == [gone, gone, gone]
    statuses = [transfer_state(log, name).status for name in ("v1-a", "v2-a", "v3-a", "v4-a", "v5-a", "v6-b")]
    assert statuses == ["cancelled", "cancelled", "in_progress", "completed", "cancelled", "pending"]


def test_s34_s54_one_that_runs_while_its_destination_is_deleted_and_fails_holds_nothing(
    log: MemoryEventLog, policy: FollowDestination
) -> None:
    transfer(log, 1, "a", started())
    transfer(log, 2, "b", started())
    happens(log, "a", StorageConfigDeleted())
    assert run(policy, log) == []
    for name in ("v1-a", "v2-b"):
        record(log, transfers.stream_of(name), TransferFailed(attempt=1, reason="r", error="e"))
    assert run(policy, log) == [TransferCancelled(reason="Its storage configuration was deleted.")]
    assert transfer_state(log, "v2-b").status == "failed", "it can be retried"


@pytest.mark.parametrize(
    "ended",
    [
        TransferAttemptFailed(attempt=1, failures=1, reason="r", error="e", next_attempt_at=NOON + timedelta(days=1)),
        TransferInterrupted(attempt=1, reason="The worker was lost."),
        HELD,
    ],
    ids=lambda event: event.topic,
)
def test_s34_one_that_runs_while_its_destination_is_deleted_is_cancelled_when_its_attempt_ends(
    log: MemoryEventLog, policy: FollowDestination, ended: Event
) -> None:
    transfer(log, 1, "a", started())
    transfer(log, 2, "b", started())
    happens(log, "a", StorageConfigDeleted())
    assert run(policy, log) == []
    for name in ("v1-a", "v2-b"):
        record(log, transfers.stream_of(name), ended)
    assert run(policy, log) == [TransferCancelled(reason="Its storage configuration was deleted.")]
    assert transfer_state(log, "v2-b").status == "pending"


def test_a_destination_that_came_back_and_was_deleted_at_once_only_cancels(
    log: MemoryEventLog, policy: FollowDestination
) -> None:
    happens(log, "a", LOST)
    transfer(log, 1, "a", HELD)
    happens(log, "a", StorageConfigAuthorized(), StorageConfigDeleted())
    (event,) = run(policy, log)
    assert isinstance(event, TransferCancelled)


def test_seeing_everything_again_changes_nothing(log: MemoryEventLog, policy: FollowDestination) -> None:
    happens(log, "a", LOST)
    transfer(log, 1, "a", HELD)
    happens(log, "a", StorageConfigAuthorized())
    run(policy, log)
    assert replay(policy, log) == []
