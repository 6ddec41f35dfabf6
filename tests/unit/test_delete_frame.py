"""The command that deletes a frame."""

from __future__ import annotations

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.commands.frames import delete_frame
from domain import frames
from domain.errors import NotFound
from domain.frames import FrameDeleted
from tests.fakes.clock import StillClock
from tests.fakes.samples import CAUSE, arrived, file_processed, version


def test_a38_a_frame_is_deleted_once() -> None:
    log = MemoryEventLog()
    arrived(log, file_processed("m31", version(1), version(2)))
    position = delete_frame(log, StillClock(), CAUSE, "m31")
    (_, last) = log.load("frame:m31")
    assert (last.position, last.event) == (position, FrameDeleted(frame_id=1000, versions=(version(1), version(2))))
    assert not frames.fold(log.load("frame:m31")).exists
    with pytest.raises(NotFound, match="There is no frame m31"):
        delete_frame(log, StillClock(), CAUSE, "m31")


def test_a38_what_is_not_there_cannot_be_deleted() -> None:
    log = MemoryEventLog()
    with pytest.raises(NotFound):
        delete_frame(log, StillClock(), CAUSE, "m33")
    assert log.head() == 0
