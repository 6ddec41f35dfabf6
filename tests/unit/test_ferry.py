"""One worker carrying one transfer: to a verified copy, or to the reason why not."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import BinaryIO

import msgspec
import pytest
from structlog.testing import capture_logs

from adapters.event_store.memory import MemoryEventLog
from application import ferry as ferry_module
from application import one_upload
from application.commands.storage_configs import load_config
from application.ferry import Ferry
from application.ports.event_log import Commit
from application.transfer_news import Sent
from domain import storage_configs, transfers
from domain.errors import (
    ChecksumMismatch,
    DestinationPaused,
    GiveUp,
    Misconfigured,
    NeedsAuthorization,
    RetryLater,
    StreamConflict,
)
from domain.event import Event
from domain.hashes import Hashes
from domain.storage_configs import (
    StorageConfig,
    StorageConfigAuthorizationLost,
    StorageConfigAuthorized,
    StorageConfigDeleted,
    StorageConfigEdited,
    StorageConfigPaused,
)
from domain.transfer_events import (
    TransferAttemptFailed,
    TransferCancelled,
    TransferCheckpointed,
    TransferCompleted,
    TransferFailed,
    TransferHeld,
    TransferInterrupted,
    TransferReleased,
    TransferRequested,
    TransferRetried,
    TransferStarted,
)
from domain.transfers import Transfer
from tests.fakes.clock import NOON, StillClock
from tests.fakes.destination import OneDestination, ScriptedDestination
from tests.fakes.file_store import HeldFiles, OpenVault
from tests.fakes.limits import CountedLimits
from tests.fakes.samples import (
    configured,
    hashes_of,
    record,
    started,
    transfer_requested,
    transfer_state,
)

DATA = b"SIMPLE  =                    T"
PATH = "/fits-data/M31/m31.fits"
ID = "v7-cfg"
SESSION = f"upload:{ID}"


def hash_file(file: BinaryIO) -> tuple[int, Hashes]:
    data = file.read()
    return len(data), hashes_of(data)


class Harbour:
    """Everything that ferries need, with one transfer of DATA waiting."""

    def __init__(self) -> None:
        self.log = MemoryEventLog()
        self.clock = StillClock()
        self.store = HeldFiles()
        self.vault = OpenVault()
        self.destination = ScriptedDestination()
        self.opening = OneDestination(self.destination)
        self.limits = CountedLimits()
        self.waits: list[float] = []
        configured(self.log, "cfg")
        self.vault.put("cfg", {"token": "hunter2"})

    def request(self, data: bytes = DATA, **changes: object) -> None:
        requested = transfer_requested(7, "cfg", data=data)
        fields = {name: getattr(requested, name) for name in requested.__struct_fields__}
        record(self.log, transfers.stream_of(ID), TransferRequested(**{**fields, **changes}))
        self.store.files["files/7.fits", "key-7"] = data

    def ferry(self, worker: str = "w1") -> Ferry:
        return Ferry(
            log=self.log,
            store=self.store,
            vault=self.vault,
            clock=self.clock,
            open_destination=self.opening,
            limits=self.limits,
            hash_file=hash_file,
            worker=worker,
            wait=self.waits.append,
        )

    def carry(self, by: str | Ferry = "w1", transfer: str = ID) -> Transfer:
        """A worker is told that a transfer may be due."""
        self.limits.park(transfers.destination_of(transfer), transfer)
        (self.ferry(by) if isinstance(by, str) else by).go_on()
        return transfer_state(self.log, transfer)

    def happens(self, *events: Event) -> None:
        record(self.log, transfers.stream_of(ID), *events)

    @property
    def state(self) -> Transfer:
        return transfer_state(self.log, ID)

    @property
    def config(self) -> StorageConfig:
        return storage_configs.fold(self.log.load("storage_config:cfg"))

    @property
    def events(self) -> list[Event]:
        return [recorded.event for recorded in self.log.load(transfers.stream_of(ID))][1:]

    @property
    def told(self) -> list[type[Event]]:
        return [type(event) for event in self.events]

    @property
    def status(self) -> str:
        return self.state.status


@pytest.fixture
def harbour() -> Iterator[Harbour]:
    harbour = Harbour()
    yield harbour
    assert harbour.destination.opened == harbour.destination.closed, "every destination that was opened is closed"
    assert harbour.status != "in_progress", "no attempt is left running"
    assert not +harbour.limits.running, "every place is given back"


def test_s40_a_file_arrives_and_its_verified_hashes_are_told(harbour: Harbour) -> None:
    harbour.request()
    state = harbour.carry()
    assert harbour.destination.objects == {PATH: DATA}
    assert harbour.told == [TransferStarted, TransferCompleted]
    assert harbour.events[0] == started(1, "w1")
    assert harbour.events[1] == TransferCompleted(
        attempt=1,
        destination_path=PATH,
        remote_id=f"rev-{PATH}",
        bytes_sent=len(DATA),
        verified={"sha256": hashes_of(DATA).sha256, "md5": hashes_of(DATA).md5},
    )
    assert state.status == "completed"
    assert harbour.opening.secrets == {"token": "hunter2"}


def test_what_a_worker_tells_belongs_to_the_request_that_began_it(harbour: Harbour) -> None:
    harbour.request()
    harbour.carry("w9")
    history = harbour.log.load(transfers.stream_of(ID))
    causes = [recorded.cause for recorded in history[1:]]
    assert {(cause.actor, cause.via, cause.correlation) for cause in causes} == {("w9", "worker", "request-1")}
    assert [cause.causation for cause in causes] == [recorded.position for recorded in history[:-1]]


def test_an_empty_file_arrives_without_a_byte_being_sent(harbour: Harbour) -> None:
    harbour.request(b"")
    harbour.carry()
    assert harbour.destination.objects == {PATH: b""}
    assert harbour.destination.calls == ["begin", "finish"]
    assert harbour.status == "completed"


def test_a_file_of_one_chunk_leaves_no_session_behind(harbour: Harbour) -> None:
    harbour.request(b"1234")
    harbour.destination.script("put", RetryLater("Timed out."))
    harbour.carry()
    assert SESSION not in harbour.vault.secrets


def test_s39_a_large_file_is_sent_in_chunks_and_its_progress_is_told(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_upload, "CHECKPOINT_BYTES", 10)
    harbour.request()
    harbour.carry()
    assert harbour.destination.calls.count("put") == 8
    sent = [event.bytes_sent for event in harbour.events if isinstance(event, TransferCheckpointed)]
    assert sent == [12, 24]
    assert harbour.destination.objects == {PATH: DATA}
    assert SESSION not in harbour.vault.secrets, "the session is forgotten when the copy is there"


def test_s58_whoever_listens_is_told_after_every_piece(harbour: Harbour) -> None:
    told: list[Sent] = []
    harbour.request()
    harbour.carry(msgspec.structs.replace(harbour.ferry(), tell_progress=told.append))
    assert harbour.destination.calls.count("put") == len(told) == 8
    assert [one.bytes_sent for one in told] == sorted(one.bytes_sent for one in told)
    assert {(one.transfer, one.attempt, one.bytes_total) for one in told} == {(ID, 1, len(DATA))}
    assert told[-1].bytes_sent == len(DATA)


def test_small_steps_tell_no_progress(harbour: Harbour) -> None:
    harbour.request()
    harbour.carry()
    assert TransferCheckpointed not in harbour.told


def test_a_provider_that_confirms_less_than_was_sent_gets_the_rest_again(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.confirms = lambda sent: max(1, sent - 1)
    harbour.carry()
    assert harbour.destination.objects == {PATH: DATA}


def test_a_provider_that_confirms_nothing_fails_the_attempt(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.confirms = lambda sent: 0
    assert harbour.carry().failures == 1


@pytest.mark.parametrize("method", ["begin", "put", "finish"])
def test_a_passing_fault_waits_five_minutes_for_the_next_attempt(harbour: Harbour, method: str) -> None:
    harbour.request()
    harbour.destination.script(method, RetryLater("The provider is busy."))
    harbour.carry()
    assert harbour.events[-1] == TransferAttemptFailed(
        attempt=1,
        failures=1,
        reason="The provider is busy.",
        error="RetryLater",
        next_attempt_at=NOON + timedelta(minutes=5),
    )
    harbour.carry()
    assert harbour.state.attempts == 1, "it isn't due yet"
    harbour.clock.forward(minutes=5)
    assert harbour.carry().status == "completed"
    assert harbour.destination.objects == {PATH: DATA}


def test_s44_the_providers_longer_retry_after_is_kept(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("begin", RetryLater("Slow down.", retry_after=3600.0))
    assert harbour.carry().next_attempt_at == NOON + timedelta(hours=1)


def test_s41_s43_s47_four_failures_are_the_end_and_a_manual_retry_a_new_beginning(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("put", *[RetryLater("Busy.")] * 4)
    for minutes in (5, 10, 20):
        assert harbour.carry().next_attempt_at == harbour.clock.now() + timedelta(minutes=minutes)
        harbour.clock.forward(minutes=minutes)
    assert harbour.carry().status == "failed"
    assert harbour.events[-1] == TransferFailed(attempt=4, reason="Busy.", error="RetryLater")
    assert harbour.carry().attempts == 4, "a failed transfer isn't carried"
    harbour.happens(TransferRetried())
    assert harbour.carry().status == "completed"


@pytest.mark.parametrize("method", ["begin", "put", "finish"])
def test_a_fault_that_no_retry_can_mend_is_final(harbour: Harbour, method: str) -> None:
    harbour.request()
    harbour.destination.script(method, GiveUp("There is no such bucket."))
    harbour.carry()
    assert harbour.events[-1] == TransferFailed(attempt=1, reason="There is no such bucket.", error="GiveUp")
    assert harbour.config.ready(), "one transfer's fault isn't the destination's"


def test_a_destination_that_cannot_be_opened_fails_the_transfer(harbour: Harbour) -> None:
    harbour.request()
    harbour.opening.trouble = GiveUp("The folder isn't one of those that may be used.")
    harbour.carry()
    assert harbour.told == [TransferStarted, TransferFailed]


def test_s45_refused_credentials_hold_the_transfer_and_mark_the_destination(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("begin", NeedsAuthorization("The access was revoked."))
    state = harbour.carry()
    assert (state.status, state.held, state.failures, state.reason) == ("pending", True, 0, "The access was revoked.")
    assert harbour.config.needs_authorization
    lost = harbour.log.load("storage_config:cfg")[-1]
    assert lost.event == StorageConfigAuthorizationLost(reason="The access was revoked.")
    assert harbour.carry().attempts == 1
    record(harbour.log, "storage_config:cfg", StorageConfigAuthorized())
    harbour.happens(TransferReleased())
    assert harbour.carry().status == "completed"


@pytest.mark.parametrize("refusal", [NeedsAuthorization("The access was revoked."), DestinationPaused("Full.")])
def test_s45_a_refusal_of_credentials_that_were_replaced_meanwhile_says_nothing_of_the_new_ones(
    harbour: Harbour, refusal: Exception
) -> None:
    harbour.request()

    def replaced() -> None:
        edited = StorageConfigEdited(
            settings=harbour.config.settings, options=harbour.config.options, credentials_version=2
        )
        record(harbour.log, "storage_config:cfg", edited)
        raise refusal

    harbour.destination.script("put", replaced)
    state = harbour.carry()
    assert (state.status, state.held, state.failures) == ("pending", False, 0)
    assert harbour.config.ready()
    assert harbour.carry().status == "completed", "with those"


@pytest.mark.parametrize("method", ["begin", "put", "finish"])
def test_s46_a_full_destination_pauses_as_a_whole(harbour: Harbour, method: str) -> None:
    harbour.request()
    harbour.destination.script(method, DestinationPaused("The account is full.", probe_after=1800.0))
    state = harbour.carry()
    assert (state.held, state.failures, state.next_attempt_at) == (True, 0, None)
    assert harbour.log.load("storage_config:cfg")[-1].event == StorageConfigPaused(
        reason="The account is full.", until=NOON + timedelta(minutes=30)
    )


def test_a_second_transfer_that_meets_the_full_destination_does_not_prolong_the_pause(harbour: Harbour) -> None:
    harbour.request()

    def somebody_else_pauses() -> None:
        record(harbour.log, "storage_config:cfg", StorageConfigPaused(reason="Full.", until=NOON))
        raise DestinationPaused("Full.")

    harbour.destination.script("begin", somebody_else_pauses)
    harbour.carry()
    assert harbour.state.held
    assert harbour.config.paused_until == NOON


@pytest.mark.parametrize(
    "event", [StorageConfigAuthorizationLost(reason="r"), StorageConfigPaused(reason="r", until=NOON)]
)
def test_a_destination_that_takes_nothing_now_holds_transfers_before_they_start(harbour: Harbour, event: Event) -> None:
    harbour.request()
    record(harbour.log, "storage_config:cfg", event)
    harbour.carry()
    assert harbour.told == [TransferHeld]
    assert harbour.destination.opened == 0


def test_s46_a_transfer_that_is_turned_away_tells_why_the_destination_pauses(harbour: Harbour) -> None:
    harbour.request()
    record(harbour.log, "storage_config:cfg", StorageConfigPaused(reason="The account is full.", until=NOON))
    assert harbour.carry().reason == "The account is full."


def test_a_transfer_that_is_not_due_is_not_held_so_that_its_wait_stays(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("begin", RetryLater("Busy."))
    harbour.carry()
    record(harbour.log, "storage_config:cfg", StorageConfigPaused(reason="r", until=NOON))
    harbour.carry()
    assert not harbour.state.held
    assert harbour.state.next_attempt_at == NOON + timedelta(minutes=5)


def test_s46_after_a_week_of_pause_the_transfer_fails_with_its_reason(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("begin", *[DestinationPaused("The account is full.")] * 8)
    for _ in range(7):
        assert harbour.carry().held
        harbour.clock.forward(days=1)
        harbour.happens(TransferReleased())
        record(harbour.log, "storage_config:cfg", storage_configs.StorageConfigResumed())
    harbour.carry()
    assert harbour.events[-1] == TransferFailed(attempt=8, reason="The account is full.", error="DestinationPaused")


def test_s46_a_destination_that_takes_some_files_every_day_is_waited_for_longer_than_a_week(harbour: Harbour) -> None:
    harbour.request()
    other = transfer_requested(8, "cfg", data=DATA)
    harbour.store.files[other.store_path, other.store_key] = DATA
    record(harbour.log, transfers.stream_of(other.id), other)
    limited = DestinationPaused("The daily limit is reached.")
    harbour.destination.script("begin", limited, None, limited, limited)
    for days in (3, 5):
        assert harbour.carry().held
        harbour.clock.forward(days=days)
        harbour.happens(TransferReleased())
        record(harbour.log, "storage_config:cfg", storage_configs.StorageConfigResumed(), at=harbour.clock.now())
        if days == 3:
            assert harbour.carry(transfer=other.id).status == "completed"
            assert harbour.config.taking_nothing_since is None
    assert harbour.carry().held, "eight days, but only five since the last file"


def test_s46_only_the_first_copy_after_a_pause_is_told_to_the_configuration(harbour: Harbour) -> None:
    harbour.request()
    record(harbour.log, "storage_config:cfg", StorageConfigPaused(reason="r", until=NOON))
    record(harbour.log, "storage_config:cfg", storage_configs.StorageConfigResumed())
    assert harbour.carry().status == "completed"
    assert harbour.log.load("storage_config:cfg")[-1].event == storage_configs.StorageConfigRecovered()
    again = len(harbour.log.load("storage_config:cfg"))
    other = transfer_requested(8, "cfg", data=DATA)
    harbour.store.files[other.store_path, other.store_key] = DATA
    record(harbour.log, transfers.stream_of(other.id), other)
    assert harbour.carry(transfer=other.id).status == "completed"
    assert len(harbour.log.load("storage_config:cfg")) == again


def test_after_a_week_those_that_wait_behind_fail_with_the_same_reason(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("begin", DestinationPaused("The account is full."))
    harbour.carry()
    harbour.clock.forward(days=7)
    harbour.happens(TransferReleased())
    harbour.carry()
    last = harbour.events[-1]
    assert isinstance(last, TransferFailed)
    assert last.reason == "The account is full."
    assert harbour.destination.opened == 1


@pytest.mark.parametrize("trouble", [RetryLater("Busy."), GiveUp("It may not delete."), ValueError("a bug")])
def test_s53_a_copy_that_differs_and_could_not_be_removed_is_removed_by_the_next_attempt(
    harbour: Harbour, trouble: Exception
) -> None:
    harbour.request()
    harbour.destination.damage = lambda data: data[:-1] + b"X"
    harbour.destination.script("remove", trouble, RetryLater("Busy still."))
    for _ in range(2):
        if harbour.carry().status == "failed":
            harbour.happens(TransferRetried())
        assert list(harbour.destination.objects) == [PATH]
        harbour.clock.forward(hours=1)
    assert harbour.destination.calls.count("finish") == 1, "nothing is sent to where the damaged copy is"
    harbour.destination.damage = lambda data: data
    assert harbour.carry().status == "completed"
    assert harbour.destination.objects == {PATH: DATA}
    assert harbour.destination.resumed[-1] is None, "the upload begins anew"
    assert SESSION not in harbour.vault.secrets


def test_s53_a_copy_that_differs_is_removed_and_counts_as_a_failure(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.damage = lambda data: data[:-1] + b"X"
    state = harbour.carry()
    assert harbour.destination.objects == {}
    assert (state.status, state.failures) == ("pending", 1)
    failed = harbour.events[-1]
    assert isinstance(failed, TransferAttemptFailed)
    assert (failed.error, failed.reason) == ("ChecksumMismatch", "The copy's sha256 differs from the file's.")
    assert SESSION not in harbour.vault.secrets
    harbour.destination.damage = lambda data: data
    harbour.clock.forward(minutes=5)
    assert harbour.carry().status == "completed"


def test_a_copy_that_is_too_short_is_removed(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.damage = lambda data: data[:-1]
    harbour.carry()
    assert harbour.destination.objects == {}
    assert harbour.state.failures == 1


@pytest.mark.parametrize("method", ["put", "finish"])
def test_a_mismatch_that_the_provider_finds_makes_the_next_attempt_begin_anew(harbour: Harbour, method: str) -> None:
    harbour.request()
    harbour.destination.script(method, None, ChecksumMismatch("The provider got other bytes."))
    if method == "finish":
        harbour.destination.faults["finish"].pop(0)
    harbour.carry()
    assert harbour.state.failures == 1
    harbour.clock.forward(minutes=5)
    harbour.carry()
    assert harbour.destination.resumed == [None, None]
    assert harbour.status == "completed"


def test_a_mismatch_whose_copy_cannot_be_removed_still_counts_once(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.damage = lambda data: data + b"X"
    harbour.destination.script("remove", RetryLater("Busy."))
    assert harbour.carry().failures == 1


def test_a_file_that_is_gone_fails_for_good(harbour: Harbour) -> None:
    harbour.request()
    harbour.store.files.clear()
    harbour.carry()
    assert harbour.events[-1] == TransferFailed(
        attempt=1, reason="The file is no longer on the server.", error="GiveUp"
    )
    assert harbour.destination.opened == 0


def test_a_file_that_has_become_shorter_fails_for_good(harbour: Harbour) -> None:
    harbour.request()
    harbour.store.files["files/7.fits", "key-7"] = DATA[:9]
    assert harbour.carry().status == "failed"
    assert "shorter" in harbour.state.reason
    assert harbour.destination.objects == {}


def test_s49_a_resumed_upload_goes_on_from_what_the_provider_has(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("put", None, None, RetryLater("The connection broke."))
    harbour.carry()
    assert json.loads(harbour.vault.secrets[SESSION]["session-1"]) == {"offset": 0, "state": {"upload": "upload-1"}}
    harbour.destination.calls.clear()
    harbour.clock.forward(minutes=5)
    harbour.carry("w2")
    assert harbour.destination.calls.count("put") == 6, "two of eight chunks were there"
    assert harbour.destination.objects == {PATH: DATA}


def test_a_checkpoint_saves_where_the_upload_stands(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_upload, "CHECKPOINT_BYTES", 10)
    harbour.request()
    harbour.destination.script("put", None, None, None, RetryLater("The connection broke."))
    harbour.carry()
    assert json.loads(harbour.vault.secrets[SESSION]["session-1"])["offset"] == 12
    harbour.clock.forward(minutes=5)
    harbour.carry()
    resumed = harbour.destination.resumed[-1]
    assert resumed is not None
    assert (resumed.offset, resumed.state) == (12, {"upload": "upload-1"})


def test_s51_what_was_reserved_by_a_worker_that_lost_the_transfer_meanwhile_is_not_used(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.keeps_session = True

    def another_takes_over_and_delivers() -> None:
        harbour.happens(TransferInterrupted(attempt=1, reason="The worker was lost."))
        harbour.carry("w2")

    harbour.destination.script("begin", another_takes_over_and_delivers)
    harbour.carry("w1")
    assert harbour.destination.calls == ["begin", "begin", *["put"] * 8, "finish"], "the first sent nothing"
    assert SESSION not in harbour.vault.secrets
    assert harbour.status == "completed"


def test_s51_a_worker_that_was_overtaken_does_not_replace_what_its_successor_has_kept(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.keeps_session = True

    def another_takes_over_and_fails() -> None:
        harbour.happens(TransferInterrupted(attempt=1, reason="The worker was lost."))
        harbour.destination.script("put", RetryLater("The connection broke."))
        harbour.carry("w2")

    harbour.destination.script("begin", another_takes_over_and_fails)
    harbour.carry("w1")
    harbour.clock.forward(minutes=5)
    harbour.carry("w3")
    resumed = harbour.destination.resumed[-1]
    assert resumed is not None
    assert resumed.state == {"upload": "upload-1"}, "that of the second attempt, which came first to the provider"
    assert harbour.status == "completed"


def test_a_session_that_an_earlier_program_kept_is_gone_on_with(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.uploads["upload-0"] = DATA[:8]
    harbour.vault.put(SESSION, {"session": json.dumps({"offset": 4, "state": {"upload": "upload-0"}})})
    harbour.happens(started(), TransferInterrupted(attempt=1, reason="The worker was lost."))
    harbour.carry()
    assert harbour.destination.calls.count("put") == 6
    assert harbour.status == "completed"


def test_a_lost_session_begins_anew(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("put", None, RetryLater("The connection broke."))
    harbour.carry()
    harbour.destination.uploads.clear()
    harbour.clock.forward(minutes=5)
    harbour.carry()
    assert harbour.destination.objects == {PATH: DATA}


def test_s51_a_repeated_attempt_after_an_unclear_finish_leaves_one_object(harbour: Harbour) -> None:
    harbour.request()

    def arrives_but_the_answer_is_lost() -> None:
        harbour.destination.objects[PATH] = DATA
        raise RetryLater("The connection broke.")

    harbour.destination.script("finish", arrives_but_the_answer_is_lost)
    harbour.carry()
    harbour.clock.forward(minutes=5)
    assert harbour.carry().status == "completed"
    assert harbour.destination.objects == {PATH: DATA}


def test_another_file_of_the_same_name_is_never_replaced(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.objects[PATH] = b"somebody's own"
    harbour.carry()
    assert harbour.status == "failed"
    assert harbour.destination.objects == {PATH: b"somebody's own"}


def test_sizes_and_checksums_that_nobody_knows_are_computed_first(harbour: Harbour) -> None:
    harbour.request(size=None, hashes=None, md5=hashes_of(DATA).md5.upper())
    assert harbour.carry().status == "completed"
    assert harbour.destination.objects == {PATH: DATA}


def test_a_file_that_is_not_the_one_ingested_is_not_sent(harbour: Harbour) -> None:
    harbour.request(size=None, hashes=None, md5="0" * 32)
    harbour.carry()
    assert harbour.status == "failed"
    assert "md5 differs" in harbour.state.reason
    assert harbour.destination.calls == []


def test_s48_a_transfer_cancelled_while_its_file_is_sent_leaves_nothing_behind(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_upload, "CHECKPOINT_BYTES", 10)
    harbour.request()
    harbour.destination.script("put", None, lambda: harbour.happens(TransferCancelled(reason="Cancelled by ana.")))
    harbour.carry()
    assert (harbour.destination.objects, harbour.destination.uploads) == ({}, {})
    assert harbour.destination.calls[-1] == "abandon"
    assert SESSION not in harbour.vault.secrets
    assert harbour.told == [TransferStarted, TransferCancelled]


def test_a_transfer_cancelled_at_the_last_moment_takes_its_copy_back(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("finish", lambda: harbour.happens(TransferCancelled(reason="Cancelled by ana.")))
    harbour.carry()
    assert harbour.destination.objects == {}
    assert SESSION not in harbour.vault.secrets
    assert harbour.told == [TransferStarted, TransferCancelled]


def test_a_fault_after_a_cancellation_changes_nothing(harbour: Harbour) -> None:
    harbour.request()

    def cancelled_and_broken() -> None:
        harbour.happens(TransferCancelled(reason="Cancelled by ana."))
        raise RetryLater("The connection broke.")

    harbour.destination.script("put", cancelled_and_broken)
    harbour.carry()
    assert harbour.told == [TransferStarted, TransferCancelled]


@pytest.mark.parametrize(
    "fault",
    [RetryLater("Busy."), GiveUp("No."), NeedsAuthorization("Revoked."), DestinationPaused("Full.")],
)
def test_s50_a_worker_thought_dead_cannot_spoil_the_attempt_of_its_successor(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    harbour.request()

    def succeeded_by_another() -> None:
        harbour.happens(TransferInterrupted(attempt=1, reason="The worker was lost."), started(2, "w2"))
        raise fault

    harbour.destination.script("put", succeeded_by_another)
    harbour.carry()
    assert (harbour.state.status, harbour.state.attempts, harbour.state.worker) == ("in_progress", 2, "w2")
    harbour.happens(TransferCancelled(reason="end of the test"))


def test_a_worker_that_was_overtaken_leaves_the_copy_to_its_successor(harbour: Harbour) -> None:
    harbour.request()
    lost = TransferInterrupted(attempt=1, reason="The worker was lost.")
    harbour.destination.script("finish", lambda: harbour.happens(lost))
    harbour.carry()
    assert harbour.told[-1] is TransferInterrupted
    assert harbour.destination.objects == {PATH: DATA}
    assert harbour.carry("w2").status == "completed"
    assert harbour.destination.objects == {PATH: DATA}


def test_s50_of_two_ferries_only_one_carries(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("begin", lambda: harbour.carry("w2", ID))
    harbour.carry("w1")
    assert harbour.told == [TransferStarted, TransferCompleted]
    assert harbour.destination.opened == 1


def test_s50_a_ferry_that_loses_the_race_in_the_log_goes_home(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour.request()
    append = harbour.log.append

    def first_the_other(commit: Commit) -> int:
        monkeypatch.setattr(harbour.log, "append", append)
        harbour.happens(started(1, "w2"))
        return append(commit)

    monkeypatch.setattr(harbour.log, "append", first_the_other)
    harbour.carry("w1")
    assert (harbour.state.worker, harbour.destination.opened) == ("w2", 0)
    harbour.happens(TransferCancelled(reason="end of the test"))


@pytest.mark.parametrize(
    "events",
    [
        [started(1, "w2"), TransferFailed(attempt=1, reason="r", error="e")],
        [TransferCancelled(reason="r")],
        [TransferHeld(reason="r")],
    ],
)
def test_looking_at_a_transfer_that_is_not_free_changes_nothing(harbour: Harbour, events: list[Event]) -> None:
    harbour.request()
    harbour.happens(*events)
    harbour.carry()
    assert harbour.events == events


def test_looking_at_a_transfer_that_does_not_exist_changes_nothing(harbour: Harbour) -> None:
    harbour.carry()
    assert not harbour.log.load(transfers.stream_of(ID))


def test_s34_s42_a_deleted_destination_cancels_what_has_not_started(harbour: Harbour) -> None:
    harbour.request()
    record(harbour.log, "storage_config:cfg", StorageConfigDeleted())
    harbour.carry()
    assert harbour.events == [TransferCancelled(reason="Its storage configuration was deleted.")]


def test_s34_a_destination_deleted_while_another_worker_begins_leaves_that_one_alone(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour.request()

    def meanwhile(log: MemoryEventLog, config: str) -> StorageConfig:
        harbour.happens(started(1, "w2"))
        record(harbour.log, "storage_config:cfg", StorageConfigDeleted())
        return load_config(log, config)

    monkeypatch.setattr(ferry_module, "load_config", meanwhile)
    harbour.carry("w1")
    assert harbour.told == [TransferStarted]
    harbour.happens(TransferCancelled(reason="end of the test"))


@pytest.mark.parametrize("method", ["begin", "put", "finish"])
def test_a_bug_in_an_adapter_is_a_failed_attempt_and_its_text_goes_nowhere(harbour: Harbour, method: str) -> None:
    harbour.request()
    harbour.destination.script(method, ValueError("https://upload/?upload_id=hunter2"))
    with capture_logs() as logs:
        harbour.carry()
    failed = harbour.events[-1]
    assert isinstance(failed, TransferAttemptFailed)
    assert failed.reason == "Unexpected ValueError."
    assert logs
    assert "hunter2" not in repr(logs)


def test_secrets_that_cannot_be_opened_fail_the_attempt(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    harbour.request()

    def locked(_: str) -> dict[str, str]:
        raise Misconfigured("No known master key opens these secrets.")

    monkeypatch.setattr(harbour.vault, "get", locked)
    assert harbour.carry().failures == 1


def test_no_event_holds_a_secret(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_upload, "CHECKPOINT_BYTES", 10)
    harbour.request()
    harbour.destination.script("put", None, None, None, None, OSError("hunter2"))
    harbour.carry()
    harbour.clock.forward(minutes=5)
    harbour.carry()
    told = repr(harbour.log.read(0, 1000).events)
    assert "hunter2" not in told
    assert "upload-1" not in told, "a session may be a capability"


def test_an_attempt_whose_end_could_not_be_recorded_is_given_back_as_soon_as_possible(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour.request()
    ferry = harbour.ferry()

    def away(_: Commit) -> int:
        raise RetryLater("The database can't be reached.")

    with monkeypatch.context() as patched:
        harbour.destination.script("finish", lambda: patched.setattr(harbour.log, "append", away))
        harbour.carry(ferry)
        assert harbour.status == "in_progress"
        with pytest.raises(RetryLater):
            ferry.settle()
    ferry.settle()
    assert harbour.told[-1] is TransferInterrupted
    assert harbour.state.failures == 0
    harbour.carry(ferry)
    ferry.settle()
    assert harbour.told[2:] == [TransferStarted, TransferCompleted]


def test_a_start_whose_answer_was_lost_is_given_back_too(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    harbour.request()
    ferry = harbour.ferry()
    append = harbour.log.append

    def stored_but_unanswered(commit: Commit) -> int:
        monkeypatch.setattr(harbour.log, "append", append)
        append(commit)
        raise RetryLater("The connection broke.")

    monkeypatch.setattr(harbour.log, "append", stored_but_unanswered)
    with pytest.raises(RetryLater):
        harbour.carry(ferry)
    assert harbour.status == "in_progress"
    harbour.carry(ferry)
    assert harbour.told == [TransferStarted, TransferInterrupted, TransferStarted, TransferCompleted]


def test_only_our_own_attempts_are_given_back(harbour: Harbour) -> None:
    harbour.request()
    ferry = harbour.ferry("w1")
    ferry.unsettled[ID] = 1
    harbour.happens(started(1, "w2"))
    ferry.settle()
    assert harbour.told == [TransferStarted]
    assert not ferry.unsettled
    harbour.happens(TransferCancelled(reason="end of the test"))


def test_a_completion_whose_answer_was_lost_is_a_completion(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    harbour.request()
    append = harbour.log.append

    def stored_but_unanswered(commit: Commit) -> int:
        position = append(commit)
        if isinstance(commit.writes[0].events[0], TransferCompleted):
            raise RetryLater("The connection broke.")
        return position

    monkeypatch.setattr(harbour.log, "append", stored_but_unanswered)
    harbour.carry()
    assert harbour.told == [TransferStarted, TransferCompleted]
    assert harbour.destination.objects == {PATH: DATA}


def test_a_stream_that_others_keep_changing_does_not_leave_the_attempt_running(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour.request()
    append = harbour.log.append

    def crowded(commit: Commit) -> int:
        if isinstance(commit.writes[0].events[0], TransferCompleted):
            raise StreamConflict("Somebody else was faster.")
        return append(commit)

    monkeypatch.setattr(harbour.log, "append", crowded)
    harbour.carry()
    assert harbour.told == [TransferStarted, TransferAttemptFailed]


def test_s52_memory_does_not_grow_with_the_file(harbour: Harbour) -> None:
    class Endless(io.RawIOBase):
        """Zeros; complains when more than one chunk is asked for."""

        def read(self, size: int = -1) -> bytes:
            assert 0 < size <= harbour.destination.chunk_size
            return bytes(size)

        def seek(self, offset: int, whence: int = 0) -> int:
            return offset

    harbour.request(bytes(1000))
    harbour.store.open = lambda path, key: Endless()  # type: ignore[assignment,method-assign,return-value]
    assert harbour.carry().status == "completed"
