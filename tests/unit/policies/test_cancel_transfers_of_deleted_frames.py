"""What isn't finished of a deleted frame's transfers is cancelled, whenever it was asked for."""

from __future__ import annotations

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.policies.cancel_transfers_of_deleted_frames import REASON, CancelTransfersOfDeletedFrames
from domain import frames, transfers
from domain.event import Event
from domain.transfer_events import TransferCancelled, TransferFailed, TransferHeld
from tests.fakes.clock import StillClock
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import (
    arrived,
    completed,
    file_processed,
    record,
    started,
    transfer_requested,
    transfer_state,
    version,
)
from tests.unit.policies.running import replay, run

CANCELLED = TransferCancelled(reason=REASON)


@pytest.fixture
def log() -> MemoryEventLog:
    log = MemoryEventLog()
    arrived(log, file_processed("m31", version(1)))
    return log


@pytest.fixture
def policy(log: MemoryEventLog) -> CancelTransfersOfDeletedFrames:
    return CancelTransfersOfDeletedFrames(log, LogLookups(log, StillClock()))


def transfer(log: MemoryEventLog, config: str, *events: Event, frame: str = "m31", number: int = 1) -> None:
    requested = transfer_requested(number, config, frame=frame)
    record(log, transfers.stream_of(requested.id), requested, *events)


def delete(log: MemoryEventLog, basename: str = "m31") -> None:
    stream = frames.stream_of(basename)
    record(log, stream, *frames.delete(frames.fold(log.load(stream))))


def test_a38_unfinished_transfers_of_a_deleted_frame_are_cancelled(
    log: MemoryEventLog, policy: CancelTransfersOfDeletedFrames
) -> None:
    transfer(log, "pending")
    transfer(log, "held", TransferHeld(reason="r"))
    transfer(log, "running", started())
    transfer(log, "completed", started(), completed())
    transfer(log, "failed", started(), TransferFailed(attempt=1, reason="r", error="e"))
    arrived(log, file_processed("m33", version(2)))
    transfer(log, "other", frame="m33", number=2)
    delete(log)
    assert run(policy, log) == [CANCELLED] * 3
    for name, status in (("pending", "cancelled"), ("held", "cancelled"), ("running", "cancelled"),
                         ("completed", "completed"), ("failed", "failed")):  # fmt: skip
        assert transfer_state(log, f"v1-{name}").status == status
    assert transfer_state(log, "v2-other").status == "pending"
    assert replay(policy, log) == []


def test_a38_a_request_that_was_overtaken_by_the_deletion_is_cancelled(
    log: MemoryEventLog, policy: CancelTransfersOfDeletedFrames
) -> None:
    delete(log)
    assert run(policy, log) == []
    transfer(log, "late")
    assert run(policy, log) == [CANCELLED]


def test_a38_a_frame_of_the_same_name_that_came_since_keeps_its_transfers(
    log: MemoryEventLog, policy: CancelTransfersOfDeletedFrames
) -> None:
    transfer(log, "old")
    delete(log)
    arrived(log, file_processed("m31", version(2)))
    transfer(log, "new", number=2)
    assert run(policy, log) == [CANCELLED]
    assert transfer_state(log, "v1-old").status == "cancelled"
    assert transfer_state(log, "v2-new").status == "pending"


def test_requests_of_frames_that_are_there_go_on(log: MemoryEventLog, policy: CancelTransfersOfDeletedFrames) -> None:
    transfer(log, "a")
    assert run(policy, log) == []
