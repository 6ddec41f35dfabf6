"""Nobody gets a file by naming its observation's number: only those who may have it."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from adapters.event_store.memory import MemoryEventLog
from application.policies.deliver_to_destinations import DeliverToDestinations
from domain import accounts
from domain.accounts import AccountChanged, AccountCreated
from domain.frames import FileProcessed
from domain.transfer_events import TransferRequested
from tests.fakes.clock import NOON, StillClock
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import arrived, configured, file_processed, record, submitted, version


def requests(log: MemoryEventLog, event: FileProcessed, *, delete: bool = False) -> list[TransferRequested]:
    """What is requested when the file arrives for ana's observation."""
    configured(log, "cfg", delete=delete)
    submitted(log, "4711", "cfg")
    arrived(log, event)
    policy = DeliverToDestinations(log, LogLookups(log, StillClock()))
    commits = policy.react(log.read(0, 100).events, frozenset(), NOON)
    return [
        made
        for commit in commits
        for write in commit.writes
        for made in write.events
        if isinstance(made, TransferRequested)
    ]


def of_another_proposal(event: FileProcessed, *, public: bool) -> FileProcessed:
    public_date = NOON + timedelta(days=-1 if public else 1)
    changed = msgspec.structs.replace(event.record, proposal_id="SECRET", public_date=public_date)
    return msgspec.structs.replace(event, record=changed)


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog()


def test_a_member_of_the_proposal_gets_the_file_and_may_have_it_deleted(log: MemoryEventLog) -> None:
    (made,) = requests(log, file_processed("m31", version(1), number=4711), delete=True)
    assert made.delete_from_server


def test_a_proprietary_file_of_another_proposal_is_not_sent(log: MemoryEventLog) -> None:
    event = of_another_proposal(file_processed("m31", version(1), number=4711), public=False)
    assert requests(log, event) == []


def test_a_public_file_of_another_proposal_is_sent_but_never_deleted_for_it(log: MemoryEventLog) -> None:
    event = of_another_proposal(file_processed("m31", version(1), number=4711), public=True)
    (made,) = requests(log, event, delete=True)
    assert not made.delete_from_server


def test_a_file_that_was_assigned_to_the_observation_at_ingest_is_sent(log: MemoryEventLog) -> None:
    event = of_another_proposal(file_processed("m31", version(1), observation="4711"), public=False)
    assert len(requests(log, event, delete=True)) == 1


def test_a_superuser_gets_every_file(log: MemoryEventLog) -> None:
    all_powerful = AccountChanged(is_superuser=True, is_staff=True, active=True, proposals=())
    record(log, accounts.stream_of("ana"), AccountCreated(username="ana"), all_powerful)
    event = of_another_proposal(file_processed("m31", version(1), number=4711), public=False)
    assert len(requests(log, event)) == 1
