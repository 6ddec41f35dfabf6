"""A file leaves the server when every copy that anybody wants is proved, and never before (S54, S55)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.policies.complete_calibrations import CompleteCalibrations
from application.policies.delete_when_all_delivered import DeleteWhenAllDelivered
from application.policies.runner import PolicyRunner
from application.ports.event_log import Commit
from domain import frames, observations, transfers
from domain.frames import CalibrationCompleted, CalibrationFailed, FileDeletedFromServer
from domain.observations import DestinationsSelected
from domain.storage_configs import Content, StorageConfigDeleted
from domain.transfer_events import TransferCancelled, TransferChecked, TransferCheckRequested, TransferFailed
from domain.transfers import transfer_id
from tests.fakes.clock import StillClock
from tests.fakes.jobs import ListedDeadLetters
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import (
    arrived,
    configured,
    delivered,
    file_processed,
    record,
    started,
    submitted,
    transfer_requested,
    transfer_state,
    version,
)
from tests.unit.policies.running import replay, run


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog()


@pytest.fixture
def policy(log: MemoryEventLog) -> DeleteWhenAllDelivered:
    return DeleteWhenAllDelivered(log)


def request(
    log: MemoryEventLog,
    version_id: int,
    config: str,
    frame: str = "m31",
    content: Content = "raw",
    *,
    delete: bool = True,
) -> str:
    wanted = transfer_requested(version_id, config, frame=frame, content=content, delete=delete)
    record(log, transfers.stream_of(wanted.id), wanted)
    return wanted.id


def raw_frame(log: MemoryEventLog, *destinations: str) -> None:
    submitted(log, "obs", *destinations)
    arrived(log, file_processed("m31", version(1), observation="obs"))


def calibrated_file(log: MemoryEventLog, raw: str = "m31", basename: str = "m31-e91", version_id: int = 2) -> None:
    if not log.load(frames.stream_of(basename)):
        arrived(log, file_processed(basename, version(version_id), observation="obs", calibrated_from=raw))
    done = CalibrationCompleted(calibrated=basename, version_id=version_id, observation="obs")
    record(log, frames.stream_of(raw), done)


def left(version_id: int, *justified_by: str) -> FileDeletedFromServer:
    return FileDeletedFromServer(
        frame_id=version_id * 1000,
        version_id=version_id,
        path=f"files/{version_id}.fits",
        key=f"key-{version_id}",
        justified_by=justified_by,
    )


def test_s54_s55_a_raw_file_leaves_when_its_only_copy_is_verified(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", delete=True)
    raw_frame(log, "a")
    request(log, 1, "a")
    assert run(policy, log) == []
    position = delivered(log, "v1-a")
    assert run(policy, log) == [left(1, "v1-a")]
    cause = log.load("frame:m31")[-1].cause
    assert (cause.actor, cause.causation) == ("policy:DeleteWhenAllDelivered", position)


def test_nothing_leaves_where_nobody_asked_for_deletion(log: MemoryEventLog, policy: DeleteWhenAllDelivered) -> None:
    configured(log, "a")
    raw_frame(log, "a")
    delivered(log, request(log, 1, "a", delete=False))
    assert run(policy, log) == []


def test_s54_a_second_destination_still_pending_holds_the_file_back(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", delete=True)
    configured(log, "b")
    raw_frame(log, "a", "b")
    request(log, 1, "b", delete=False)
    delivered(log, request(log, 1, "a"))
    assert run(policy, log) == []
    delivered(log, "v1-b")
    assert run(policy, log) == [left(1, "v1-a", "v1-b")]


def test_a_copy_that_is_wanted_but_not_requested_yet_holds_the_file_back(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", delete=True)
    configured(log, "b")
    raw_frame(log, "a", "b")
    delivered(log, request(log, 1, "a"))
    assert run(policy, log) == []


def test_s54_a_failed_copy_holds_the_file_back_until_it_is_delivered_or_cancelled(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", delete=True)
    configured(log, "b")
    raw_frame(log, "a", "b")
    delivered(log, request(log, 1, "a"))
    failed = request(log, 1, "b", delete=False)
    record(log, transfers.stream_of(failed), started(), TransferFailed(attempt=1, reason="r", error="e"))
    assert run(policy, log) == []
    record(log, transfers.stream_of(failed), *transfers.cancel(transfer_state(log, failed), "Cancelled by ana."))
    assert run(policy, log) == [left(1, "v1-a")]


def test_s54_a_lost_copy_that_is_given_up_holds_the_file_back_no_longer(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", delete=True)
    configured(log, "b")
    raw_frame(log, "a", "b")
    lost = request(log, 1, "b", delete=False)
    delivered(log, lost)
    record(log, transfers.stream_of(lost), TransferCheckRequested(), TransferChecked(outcome="missing"))
    delivered(log, request(log, 1, "a"))
    assert run(policy, log) == []
    record(log, transfers.stream_of(lost), *transfers.cancel(transfer_state(log, lost), "Cancelled by ana."))
    assert run(policy, log) == [left(1, "v1-a")]


def test_cancelling_the_last_open_copy_lets_the_file_go(log: MemoryEventLog, policy: DeleteWhenAllDelivered) -> None:
    configured(log, "a", delete=True)
    configured(log, "b")
    raw_frame(log, "a", "b")
    delivered(log, request(log, 1, "a"))
    request(log, 1, "b", delete=False)
    run(policy, log)
    record(log, "transfer:v1-b", TransferCancelled(reason="Cancelled by ana."))
    assert run(policy, log) == [left(1, "v1-a")]


def test_a_file_whose_only_copy_was_cancelled_stays(log: MemoryEventLog, policy: DeleteWhenAllDelivered) -> None:
    configured(log, "a", delete=True)
    raw_frame(log, "a")
    record(log, transfers.stream_of(request(log, 1, "a")), TransferCancelled(reason="Cancelled by ana."))
    assert run(policy, log) == []


def test_an_expected_calibration_holds_the_raw_file_back_and_its_failure_lets_it_go(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", "raw_and_calibrated", delete=True)
    raw_frame(log, "a")
    delivered(log, request(log, 1, "a"))
    assert run(policy, log) == []
    record(log, "frame:m31", CalibrationFailed(outcome="no_masters", observation="obs"))
    assert run(policy, log) == [left(1, "v1-a")]


def test_raw_and_calibrated_files_leave_together_when_both_are_delivered(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", "raw_and_calibrated", delete=True)
    raw_frame(log, "a")
    delivered(log, request(log, 1, "a"))
    calibrated_file(log)
    request(log, 2, "a", "m31-e91", "calibrated")
    assert run(policy, log) == []
    delivered(log, "v2-a")
    assert run(policy, log) == [left(1, "v1-a"), left(2, "v2-a")]


def test_a_calibrated_file_that_nobody_wants_any_more_lets_the_raw_one_go(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", delete=True)
    configured(log, "b", "calibrated")
    raw_frame(log, "a", "b")
    delivered(log, request(log, 1, "a"))
    assert run(policy, log) == []
    record(log, "storage_config:b", StorageConfigDeleted())
    assert run(policy, log) == []
    calibrated_file(log)
    assert run(policy, log) == [left(1, "v1-a")]


def test_a_calibrated_file_that_only_its_related_frames_tie_to_the_raw_one_counts_too(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", "raw_and_calibrated", delete=True)
    raw_frame(log, "a")
    arrived(log, file_processed("m31-e91", version(2), observation="obs", level=91, related=("m31", "bias")))
    calibrated_file(log)
    delivered(log, request(log, 1, "a"))
    delivered(log, request(log, 2, "a", "m31-e91", "calibrated"))
    assert run(policy, log) == [left(1, "v1-a"), left(2, "v2-a")]


def test_a_reprocessed_calibrated_file_holds_everything_back_until_it_is_delivered(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", "raw_and_calibrated", delete=True)
    raw_frame(log, "a")
    calibrated_file(log)
    delivered(log, request(log, 1, "a"))
    request(log, 2, "a", "m31-e91", "calibrated")
    arrived(log, file_processed("m31-e91", version(3), observation="obs", calibrated_from="m31"))
    delivered(log, "v2-a")
    assert run(policy, log) == []
    delivered(log, request(log, 3, "a", "m31-e91", "calibrated"))
    went = [event for event in run(policy, log) if isinstance(event, FileDeletedFromServer)]
    assert [event.version_id for event in went] == [1, 2, 3]


def test_s54_a_new_raw_version_waits_for_a_calibrated_file_of_its_own(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", "raw_and_calibrated", delete=True)
    raw_frame(log, "a")
    arrived(log, file_processed("m31-e91", version(2), observation="obs", calibrated_from="m31"))
    arrived(log, file_processed("m31", version(3), observation="obs"))
    run(CompleteCalibrations(log, LogLookups(log, StillClock())), log)
    delivered(log, request(log, 1, "a"))
    delivered(log, request(log, 3, "a"))
    delivered(log, request(log, 2, "a", "m31-e91", "calibrated"))
    assert run(policy, log) == [], "the calibrated file came before the second version, though it was seen afterwards"
    calibrated_file(log, version_id=4)
    arrived(log, file_processed("m31-e91", version(4), observation="obs", calibrated_from="m31"))
    delivered(log, request(log, 4, "a", "m31-e91", "calibrated"))
    went = [event for event in run(policy, log) if isinstance(event, FileDeletedFromServer)]
    assert sorted(event.version_id for event in went) == [1, 2, 3, 4]


def test_a_copy_on_its_way_to_a_destination_of_the_past_holds_the_file_back(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", delete=True)
    configured(log, "b")
    raw_frame(log, "a", "b")
    request(log, 1, "b", delete=False)
    record(log, "observation:obs", DestinationsSelected(id="obs", destinations=("a",)))
    delivered(log, request(log, 1, "a"))
    assert run(policy, log) == []
    delivered(log, "v1-b")
    assert run(policy, log) == [left(1, "v1-a", "v1-b")]


def test_two_raw_frames_that_share_a_calibrated_file_can_leave_in_one_batch(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", "raw_and_calibrated", delete=True)
    raw_frame(log, "a")
    arrived(log, file_processed("m32", version(5), observation="obs"))
    arrived(log, file_processed("stack", version(9), observation="obs", level=91, related=("m31", "m32")))
    for raw in ("m31", "m32"):
        calibrated_file(log, raw, "stack", 9)
    delivered(log, request(log, 9, "a", "stack", "calibrated"))
    delivered(log, request(log, 1, "a"))
    delivered(log, request(log, 5, "a", "m32"))
    assert sorted(run(policy, log), key=str) == sorted([left(1, "v1-a"), left(5, "v5-a"), left(9, "v9-a")], key=str)


def test_seeing_everything_again_deletes_nothing_twice(log: MemoryEventLog, policy: DeleteWhenAllDelivered) -> None:
    configured(log, "a", delete=True)
    raw_frame(log, "a")
    delivered(log, request(log, 1, "a"))
    assert run(policy, log) == [left(1, "v1-a")]
    assert replay(policy, log) == []


def test_a_frame_without_an_observation_is_left_alone(log: MemoryEventLog, policy: DeleteWhenAllDelivered) -> None:
    arrived(log, file_processed("m31", version(1)))
    delivered(log, request(log, 1, "a"))
    record(log, "frame:m31", CalibrationFailed(outcome="failed"))
    assert run(policy, log) == []


class InterferingLog(MemoryEventLog):
    """Somebody else appends between the policy's decision and its commit, once."""

    interfere = staticmethod(lambda: None)

    def append_tracked(self, commits: Sequence[Commit], consumer: str, position: int) -> None:
        interfere, self.interfere = self.interfere, staticmethod(lambda: None)
        interfere()
        super().append_tracked(commits, consumer, position)


def test_a_destination_selected_between_decision_and_commit_saves_the_file() -> None:
    log = InterferingLog()
    configured(log, "a", delete=True)
    configured(log, "b")
    raw_frame(log, "a")
    delivered(log, request(log, 1, "a"))
    runner = PolicyRunner(DeleteWhenAllDelivered(log), log, StillClock(), ListedDeadLetters())

    def select() -> None:
        record(log, observations.stream_of("obs"), DestinationsSelected(id="obs", destinations=("a", "b")))

    log.interfere = staticmethod(select)
    batch = log.read(0, 500)
    runner.advance(batch.events, batch.upto)
    assert runner.position == batch.upto
    assert not frames.fold(log.load("frame:m31")).deleted_from_server


def test_a_calibrated_file_that_comes_between_decision_and_commit_saves_the_file() -> None:
    log = InterferingLog()
    configured(log, "a", "raw_and_calibrated", delete=True)
    raw_frame(log, "a")
    record(log, "frame:m31", CalibrationFailed(outcome="failed", observation="obs"))
    delivered(log, request(log, 1, "a"))
    runner = PolicyRunner(DeleteWhenAllDelivered(log), log, StillClock(), ListedDeadLetters())
    log.interfere = staticmethod(lambda: calibrated_file(log))
    batch = log.read(0, 500)
    runner.advance(batch.events, batch.upto)
    assert not frames.fold(log.load("frame:m31")).deleted_from_server
    assert not log.load(transfers.stream_of(transfer_id(2, "a")))


def test_s54_s60_a_copy_that_was_lost_keeps_the_file_until_it_is_found_or_delivered_again(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    configured(log, "a", delete=True)
    configured(log, "b", delete=True)
    raw_frame(log, "a", "b")
    first, second = request(log, 1, "a"), request(log, 1, "b")
    delivered(log, first)
    stream = transfers.stream_of(first)
    record(log, stream, TransferCheckRequested(), TransferChecked(outcome="missing"))
    delivered(log, second)
    assert run(policy, log) == []
    record(log, stream, TransferCheckRequested(), TransferChecked(outcome="verified"))
    (deleted,) = run(policy, log)
    assert isinstance(deleted, FileDeletedFromServer)
    assert deleted.justified_by == (first, second)


def test_s54_a_version_that_names_another_observation_does_not_hide_what_the_first_one_wants(
    log: MemoryEventLog, policy: DeleteWhenAllDelivered
) -> None:
    """Found by tests/simulation: the copy for `b` was pending when the file left the server."""
    configured(log, "a", delete=True)
    configured(log, "b", delete=True)
    raw_frame(log, "a", "b")
    first, second = request(log, 1, "a"), request(log, 1, "b")
    submitted(log, "other", "a")
    arrived(log, file_processed("m31", version(2), observation="other"))
    third = request(log, 2, "a")
    delivered(log, first)
    delivered(log, third)
    assert run(policy, log) == []
    delivered(log, second)
    assert [event.version_id for event in run(policy, log) if isinstance(event, FileDeletedFromServer)] == [1, 2]
