"""Is what was delivered still there and unchanged (S60)?"""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from structlog.testing import capture_logs

from domain import transfers
from domain.errors import DestinationPaused, GiveUp, NeedsAuthorization, NotAllowedNow, RetryLater
from domain.storage_configs import StorageConfigDeleted, StorageConfigEdited
from domain.transfer_events import TransferChecked, TransferCheckFailed, TransferCheckRequested, TransferRetried
from tests.fakes.clock import NOON
from tests.fakes.samples import hashes_of, record
from tests.unit.test_ferry import DATA, ID, PATH, Harbour


@pytest.fixture
def harbour() -> Harbour:
    """One copy delivered, and a wish to check it."""
    made = Harbour()
    made.request()
    made.carry()
    made.destination.calls.clear()
    made.happens(TransferCheckRequested())
    return made


def test_s60_a_copy_that_is_unchanged_is_verified_without_being_fetched(harbour: Harbour) -> None:
    harbour.carry("w2")
    assert harbour.events[-1] == TransferChecked(
        outcome="verified", verified={"md5": hashes_of(DATA).md5, "sha256": hashes_of(DATA).sha256}
    )
    assert harbour.destination.calls == ["look"]
    assert (harbour.state.copy, harbour.state.checking, harbour.status) == ("verified", False, "completed")
    cause = harbour.log.load(transfers.stream_of(ID))[-1].cause
    assert (cause.actor, cause.via, cause.correlation) == ("w2", "worker", "request-1")


def test_s60_a_copy_that_is_gone_is_missing_and_can_be_delivered_again(harbour: Harbour) -> None:
    harbour.destination.objects.clear()
    harbour.carry()
    assert harbour.state.copy == "missing"
    assert not harbour.state.delivered
    harbour.happens(*transfers.retry(harbour.state))
    assert harbour.state.completed is None
    harbour.carry()
    assert harbour.destination.objects == {PATH: DATA}
    assert (harbour.status, harbour.state.copy, harbour.state.delivered) == ("completed", None, True)


@pytest.mark.parametrize(("theirs", "reason"), [(DATA[:-1] + b"F", "sha256 differs"), (DATA + b"x", "bytes, the file")])
def test_s60_a_copy_that_differs_is_changed_and_is_never_overwritten(
    harbour: Harbour, theirs: bytes, reason: str
) -> None:
    harbour.destination.objects[PATH] = theirs
    harbour.carry()
    found = harbour.events[-1]
    assert isinstance(found, TransferChecked)
    assert found.outcome == "changed"
    assert reason in found.reason
    assert not harbour.state.delivered
    with pytest.raises(NotAllowedNow):
        transfers.retry(harbour.state)


def test_s60_the_hashes_of_the_delivery_count_when_the_request_knew_none() -> None:
    harbour = Harbour()
    harbour.request(size=None, hashes=None)
    harbour.carry()
    harbour.happens(TransferCheckRequested())
    harbour.destination.objects[PATH] = DATA[:-1] + b"F"
    harbour.carry()
    assert harbour.state.copy == "changed"


def test_s60_a_busy_provider_is_asked_again_by_the_schedule_and_then_no_more(harbour: Harbour) -> None:
    harbour.destination.script("look", *[RetryLater("Busy.")] * 4)
    for minutes in (5, 10, 20):
        harbour.carry()
        due = harbour.clock.now() + timedelta(minutes=minutes)
        assert harbour.state.next_check_at == due
        calls = len(harbour.destination.calls)
        harbour.carry()
        assert len(harbour.destination.calls) == calls, "it isn't due yet"
        harbour.clock.forward(minutes=minutes)
    harbour.carry()
    assert harbour.events[-1] == TransferCheckFailed(failures=4, reason="Busy.", error="RetryLater")
    assert (harbour.state.checking, harbour.state.copy, harbour.state.delivered) == (False, None, True)


def test_s60_the_providers_longer_retry_after_is_kept(harbour: Harbour) -> None:
    harbour.destination.script("look", RetryLater("Slow down.", retry_after=3600.0))
    harbour.carry()
    assert harbour.state.next_check_at == NOON + timedelta(hours=1)


def test_s60_a_destination_that_cannot_be_used_says_nothing_of_the_copy(harbour: Harbour) -> None:
    harbour.destination.script("look", GiveUp("The bucket does not exist."))
    harbour.carry()
    assert harbour.events[-1] == TransferCheckFailed(failures=1, reason="The bucket does not exist.", error="GiveUp")
    assert harbour.state.delivered


def test_s60_lost_credentials_are_told_to_the_destination(harbour: Harbour) -> None:
    harbour.destination.script("look", NeedsAuthorization("Revoked."))
    harbour.carry()
    assert harbour.config.needs_authorization
    assert not harbour.state.checking
    harbour.happens(TransferCheckRequested())
    harbour.carry()
    assert harbour.destination.calls == ["look"], "it isn't asked before it is authorized again"


def test_s60_a_limited_destination_pauses(harbour: Harbour) -> None:
    harbour.destination.script("look", DestinationPaused("Too many requests today.", probe_after=3600.0))
    harbour.carry()
    assert harbour.config.paused_until == NOON + timedelta(hours=1)


def test_s60_a_destination_that_was_deleted_meanwhile_cannot_be_asked(harbour: Harbour) -> None:
    record(harbour.log, "storage_config:cfg", StorageConfigDeleted())
    harbour.carry()
    assert harbour.destination.calls == []
    assert isinstance(harbour.events[-1], TransferCheckFailed)


def test_s60_a_bug_in_an_adapter_is_tried_again_and_its_text_goes_nowhere(harbour: Harbour) -> None:
    harbour.destination.script("look", ValueError("hunter2"))
    with capture_logs() as logs:
        harbour.carry()
    assert "hunter2" not in repr(logs) + repr(harbour.events)
    assert isinstance(harbour.events[-1], TransferCheckFailed)
    assert harbour.state.checking


def test_s60_two_workers_tell_it_once(harbour: Harbour) -> None:
    harbour.destination.script("look", lambda: harbour.carry("w2"))
    harbour.carry("w1")
    assert harbour.told.count(TransferChecked) == 1


def test_s60_what_a_late_check_finds_says_nothing_of_a_copy_that_is_sent_again(harbour: Harbour) -> None:
    def meanwhile() -> None:
        harbour.happens(TransferChecked(outcome="missing"), TransferRetried())

    harbour.destination.script("look", meanwhile)
    harbour.carry()
    assert harbour.told[-1] is not TransferChecked
    assert (harbour.status, harbour.state.copy) == ("pending", None)


def test_s60_a_check_waits_for_a_place_like_an_upload(harbour: Harbour) -> None:
    settings = msgspec.structs.replace(harbour.config.settings, max_transfers=1)
    record(harbour.log, "storage_config:cfg", StorageConfigEdited(settings=settings, options={}))
    berth = harbour.limits.take("cfg", 1)
    assert berth is not None
    harbour.carry()
    assert harbour.destination.calls == []
    assert harbour.limits.parked == [("cfg", ID)]
    harbour.limits.give_back(berth)
    harbour.ferry().go_on()
    assert harbour.state.copy == "verified"
