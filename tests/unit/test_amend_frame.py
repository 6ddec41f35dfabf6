"""The command that changes a frame's record and related frames."""

from __future__ import annotations

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.commands.frames import Relations, amend_frame
from application.ports.event_log import Commit
from domain import frames
from domain.errors import NotFound
from domain.frames import RelatedFramesChanged
from tests.fakes.clock import StillClock
from tests.fakes.samples import CAUSE, arrived, file_processed, record, version

CLOCK = StillClock()


def related(log: MemoryEventLog, basename: str) -> tuple[str, ...]:
    found = frames.fold(log.load(frames.stream_of(basename))).record
    assert found is not None
    return found.related


def test_a37_record_and_relations_change_in_one_commit_on_both_sides() -> None:
    log = MemoryEventLog()
    arrived(log, file_processed("child", version(1), related=("old", "kept")))
    arrived(log, file_processed("old", version(2)))
    arrived(log, file_processed("naming", version(3), related=("child", "else")))
    before = log.head()
    relations = Relations(wanted=("kept", "new"), linked=("old", "naming"))
    position = amend_frame(log, CLOCK, CAUSE, "child", {"target_name": "M 33"}, relations)
    written = log.read(before, 10).events
    assert (len(written), written[-1].position) == (3, position)
    assert written[-1].event == RelatedFramesChanged(frame_id=3000, removed=("child",))
    assert (related(log, "child"), related(log, "naming"), related(log, "old")) == (("kept", "new"), ("else",), ())
    assert amend_frame(log, CLOCK, CAUSE, "child", {"target_name": "M 33"}) == log.head() == position


def test_a37_an_edit_that_meets_another_is_made_on_top_of_it() -> None:
    class Interrupted(MemoryEventLog):
        """A log in which a file arrives just before the first amendment."""

        once = False

        def append(self, commit: Commit) -> int:
            if self.once:
                self.once = False
                record(self, "frame:m31", file_processed("m31", version(2), level=91))
            return super().append(commit)

    log = Interrupted()
    arrived(log, file_processed("m31", version(1)))
    log.once = True
    amend_frame(log, CLOCK, CAUSE, "m31", {"target_name": "M 33"})
    frame = frames.fold(log.load("frame:m31"))
    assert frame.record is not None
    assert (frame.record.target_name, frame.record.reduction_level, len(frame.versions)) == ("M 33", 91, 2)


def test_a37_a_frame_that_is_not_there_cannot_be_changed() -> None:
    log = MemoryEventLog()
    with pytest.raises(NotFound, match="no frame m31"):
        amend_frame(log, CLOCK, CAUSE, "m31", {"target_name": "x"})
    assert log.head() == 0
