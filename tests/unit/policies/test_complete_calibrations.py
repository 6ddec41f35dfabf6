"""A calibrated file that names its raw frame completes that frame's calibration (S61)."""

from __future__ import annotations

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.policies.complete_calibrations import CompleteCalibrations
from domain import observations
from domain.frames import CalibrationCompleted
from domain.observations import DestinationsSelected
from tests.fakes.clock import StillClock
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import arrived, file_processed, record, submitted, version
from tests.unit.policies.running import replay, run


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog()


@pytest.fixture
def policy(log: MemoryEventLog) -> CompleteCalibrations:
    return CompleteCalibrations(log, LogLookups(log, StillClock()))


def test_a_file_that_was_calibrated_from_a_frame_completes_it(
    log: MemoryEventLog, policy: CompleteCalibrations
) -> None:
    submitted(log, "obs")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    arrived(log, file_processed("m31-e91", version(2), observation="obs", calibrated_from="m31"))
    assert run(policy, log) == [CalibrationCompleted(calibrated="m31-e91", version_id=2, observation="obs")]
    assert log.load("frame:m31")[-1].cause.actor == "policy:CompleteCalibrations"


def test_s61_a_reduced_frame_whose_related_frames_name_a_raw_one_completes_it(
    log: MemoryEventLog, policy: CompleteCalibrations
) -> None:
    submitted(log, "7")
    arrived(log, file_processed("m31-e00", version(1), number=7))
    arrived(log, file_processed("bias", version(2), number=99))
    arrived(log, file_processed("m31-e91", version(3), level=91, number=7, related=("m31-e00", "bias", "gone")))
    assert run(policy, log) == [CalibrationCompleted(calibrated="m31-e91", version_id=3, observation="7")]
    assert len(log.load("frame:bias")) == 1, "a master's frame belongs to another observation"


def test_two_products_of_one_raw_frame_in_one_batch_both_count(
    log: MemoryEventLog, policy: CompleteCalibrations
) -> None:
    submitted(log, "obs")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    for number in (2, 3):
        arrived(log, file_processed(f"m31-e9{number}", version(number), observation="obs", calibrated_from="m31"))
    assert len(run(policy, log)) == 2


def test_a_calibrated_file_arriving_again_is_a_new_version(log: MemoryEventLog, policy: CompleteCalibrations) -> None:
    submitted(log, "obs")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    for number in (2, 3):
        arrived(log, file_processed("m31-e91", version(number), observation="obs", calibrated_from="m31"))
        assert run(policy, log) == [CalibrationCompleted(calibrated="m31-e91", version_id=number, observation="obs")]


def test_nobody_waits_for_an_observation_that_was_never_submitted(
    log: MemoryEventLog, policy: CompleteCalibrations
) -> None:
    arrived(log, file_processed("m31-e00", version(1), number=7))
    arrived(log, file_processed("m31-e91", version(2), number=7, level=91, related=("m31-e00",)))
    assert run(policy, log) == []


def test_selecting_destinations_looks_at_the_files_that_arrived_before(
    log: MemoryEventLog, policy: CompleteCalibrations
) -> None:
    arrived(log, file_processed("m31-e00", version(1), number=7))
    arrived(log, file_processed("m31-e91", version(2), number=7, level=91, related=("m31-e00",)))
    run(policy, log)
    submitted(log, "7")
    assert run(policy, log) == []
    record(log, observations.stream_of("7"), DestinationsSelected(id="7", destinations=("a",)))
    assert run(policy, log) == [CalibrationCompleted(calibrated="m31-e91", version_id=2, observation="7")]


def test_a_calibrated_file_does_not_complete_another_calibrated_one(
    log: MemoryEventLog, policy: CompleteCalibrations
) -> None:
    submitted(log, "7")
    arrived(log, file_processed("m31-e91", version(1), number=7, level=91))
    arrived(log, file_processed("m31-e92", version(2), number=7, level=92, related=("m31-e91",)))
    assert run(policy, log) == []


def test_seeing_everything_again_changes_nothing(log: MemoryEventLog, policy: CompleteCalibrations) -> None:
    submitted(log, "obs", "a")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    arrived(log, file_processed("m31-e91", version(2), observation="obs", calibrated_from="m31"))
    assert len(run(policy, log)) == 1
    assert replay(policy, log) == []
