"""The commands that add, change and remove thumbnails."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import msgspec
import pytest

from adapters.event_store.memory import MemoryEventLog
from application.commands.thumbnails import ThumbnailArrival, change_thumbnail, put_thumbnail, remove_thumbnail
from application.ports.event_log import Commit
from domain import frames
from domain.errors import AlreadyExists, NotFound, RetryLater, StreamConflict
from domain.frame_record import FrameRecord
from domain.frames import Frame
from domain.thumbnails import ThumbnailAdded, ThumbnailRemoved, claim_of
from tests.fakes.clock import StillClock
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import CAUSE, arrived, file_processed, record, version

CLOCK = StillClock()


class Counter:
    """Numbers from 1."""

    def __init__(self) -> None:
        self._next = itertools.count(1)

    def take(self) -> int:
        return next(self._next)


class Interrupted(MemoryEventLog):
    """A log in which something else happens just before the first append."""

    before: Callable[[], object] | None = None

    def append(self, commit: Commit) -> int:
        before, self.before = self.before, None
        if before:
            before()
        return super().append(commit)


@pytest.fixture
def log() -> Interrupted:
    log = Interrupted()
    arrived(log, file_processed("m31", version(100)))
    arrived(log, file_processed("m33", version(200)))
    return log


def arrival(frame: str, name: str = "picture", **changes: str) -> ThumbnailArrival:
    given = ThumbnailArrival(
        record=FrameRecord(basename=frame, target_name="from the thumbnail"),
        headers=msgspec.Raw(b"{}"),
        basename=name,
        extension=".jpg",
        size="small",
        key="key",
        path=f"thumbnails/{name}.jpg",
    )
    return msgspec.structs.replace(given, **changes)


def add(log: MemoryEventLog, given: ThumbnailArrival, numbers: Counter | None = None) -> int:
    kept = put_thumbnail(log, LogLookups(log, CLOCK), numbers or Counter(), CLOCK, CAUSE, given)
    return kept.thumbnail.id


def frame(log: MemoryEventLog, basename: str) -> Frame:
    return frames.fold(log.load(frames.stream_of(basename)))


def test_a40_a_move_is_one_commit_over_both_streams(log: Interrupted) -> None:
    number = add(log, arrival("m31"))
    before = log.head()
    assert add(log, arrival("m33")) == number
    left, came = (recorded.event for recorded in log.read(before, 10).events)
    assert isinstance(left, ThumbnailRemoved)
    assert isinstance(came, ThumbnailAdded)
    assert (left.moved_to, came.replaced) == ("m33", None)
    assert (frame(log, "m31").thumbnails, len(frame(log, "m33").thumbnails)) == ((), 1)
    assert log.claimed([claim_of("picture")])


def test_a40_what_changes_meanwhile_is_decided_on_again(log: Interrupted) -> None:
    number = add(log, arrival("m31"))
    log.before = lambda: add(log, arrival("m31", key="newer"))
    assert add(log, arrival("m33", key="other"), Counter()) == number
    assert frame(log, "m31").thumbnails == ()
    last = log.load("frame:m33")[-1].event
    assert isinstance(last, ThumbnailAdded)
    assert last.replaced is not None
    assert last.replaced.key == "newer", "the bytes that go are those of the latest"


def test_a40_two_that_are_first_make_one_thumbnail(log: Interrupted) -> None:
    numbers = Counter()
    log.before = lambda: add(log, arrival("m33"), numbers)
    add(log, arrival("m31"), numbers)
    assert (len(frame(log, "m31").thumbnails), len(frame(log, "m33").thumbnails)) == (1, 0)


def test_a40_a_frame_that_is_not_there_is_made_without_versions(log: Interrupted) -> None:
    kept = put_thumbnail(log, LogLookups(log, CLOCK), Counter(), CLOCK, CAUSE, arrival("m51"))
    made = frame(log, "m51")
    assert (made.exists, made.versions, made.record) == (True, (), kept.frame.record)
    assert kept.frame.id == made.id


def test_a40_a_name_whose_bytes_are_just_leaving_must_wait(log: Interrupted) -> None:
    number = add(log, arrival("m31"))
    remove_thumbnail(log, CLOCK, CAUSE, "m31", number)
    with pytest.raises(RetryLater, match="being deleted"):
        add(log, arrival("m31"))
    with pytest.raises(NotFound):
        remove_thumbnail(log, CLOCK, CAUSE, "m31", number)


def test_a40_a_change_may_rename_and_move_at_once(log: Interrupted) -> None:
    number = add(log, arrival("m31"))
    kept = change_thumbnail(log, CLOCK, CAUSE, "m31", number, {"basename": "new"}, "m33")
    assert (kept.thumbnail.basename, kept.thumbnail.path) == ("new", "thumbnails/picture.jpg")
    assert log.claimed([claim_of("picture"), claim_of("new")]) == {claim_of("new")}
    assert [one.id for one in frame(log, "m33").thumbnails] == [number]
    assert change_thumbnail(log, CLOCK, CAUSE, "m33", number, {}).position == log.head()


def test_a40_a_change_to_a_taken_name_or_a_missing_frame_is_refused(log: Interrupted) -> None:
    numbers = Counter()
    number = add(log, arrival("m31"), numbers)
    add(log, arrival("m31", "other"), numbers)
    head = log.head()
    with pytest.raises(AlreadyExists):
        change_thumbnail(log, CLOCK, CAUSE, "m31", number, {"basename": "other"})
    with pytest.raises(NotFound, match="no frame m51"):
        change_thumbnail(log, CLOCK, CAUSE, "m31", number, {}, "m51")
    with pytest.raises(NotFound):
        change_thumbnail(log, CLOCK, CAUSE, "m31", 999, {})
    assert log.head() == head


def test_a40_writers_that_never_lose_are_told(log: Interrupted) -> None:
    class Beaten(MemoryEventLog):
        """A log in which somebody is always faster."""

        def append(self, commit: Commit) -> int:
            raise StreamConflict("again")

    beaten = Beaten()
    with pytest.raises(StreamConflict):
        add(beaten, arrival("m31"))


def test_a40_edits_of_a_frame_keep_its_thumbnails(log: Interrupted) -> None:
    number = add(log, arrival("m31"))
    record(log, "frame:m31", file_processed("m31", version(101)))
    assert [one.id for one in frame(log, "m31").thumbnails] == [number]
