"""Thumbnails come, change and go. They live in their frame's stream; a name that another frame's thumbnail has makes
that one move, in one commit over both streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from application.ports.clock import Clock
from application.ports.event_log import Commit, EventLog, Write
from application.ports.lookups import ThumbnailLookup
from application.ports.numbers import Numbers
from application.transact import TRIES
from domain import frames
from domain.errors import AlreadyExists, NotFound, RetryLater, StreamConflict
from domain.event import Cause, Event
from domain.frame_record import FrameRecord
from domain.frames import Frame, FrameAmended
from domain.thumbnails import Thumbnail, ThumbnailAdded, ThumbnailRemoved, claim_of


class ThumbnailArrival(msgspec.Struct, frozen=True, kw_only=True):
    """A thumbnail as it is handed in, with the record of its frame, for the case that the frame isn't there yet."""

    record: FrameRecord
    headers: msgspec.Raw
    basename: str
    extension: str
    size: str
    key: str
    path: str


class Kept(msgspec.Struct, frozen=True):
    """A thumbnail with its frame, and the position from which the read model has them."""

    frame: Frame
    thumbnail: Thumbnail
    position: int


def put_thumbnail(
    log: EventLog, lookup: ThumbnailLookup, numbers: Numbers, clock: Clock, cause: Cause, arrival: ThumbnailArrival
) -> Kept:
    """Add a thumbnail to its frame, or replace the one of that name, wherever it is. A frame that isn't there is made
    of the record, without versions. Raises RetryLater while a thumbnail of that name is being deleted."""
    stream = frames.stream_of(arrival.record.basename)

    def decide() -> tuple[Commit | None, Frame, Thumbnail]:
        history = log.load(stream)
        frame = frames.fold(history)
        events: list[Event] = []
        if not frame.exists:
            created = FrameAmended(frame_id=numbers.take(), record=arrival.record, headers=arrival.headers)
            events.append(created)
            frame = msgspec.structs.replace(frame, id=created.frame_id, record=created.record, exists=True)
        writes: list[Write] = []
        claims: tuple[str, ...] = ()
        before = frame.thumbnail(arrival.basename)
        if before is None:
            claims = (claim_of(arrival.basename),)
            if log.claimed(claims):
                departure, before = _departure(log, lookup, arrival.basename, frame)
                writes, claims = [departure], ()
        thumbnail = Thumbnail(
            id=before.id if before else numbers.take(),
            basename=arrival.basename,
            extension=arrival.extension,
            size=arrival.size,
            key=arrival.key,
            path=arrival.path,
        )
        if thumbnail == before and not writes:
            return None, frame, thumbnail
        same = before is None or (before.path, before.key) == (thumbnail.path, thumbnail.key)
        events.append(ThumbnailAdded(frame_id=frame.id, thumbnail=thumbnail, replaced=None if same else before))
        writes = [*writes, Write(stream, len(history), tuple(events))]
        return Commit(writes=tuple(writes), cause=cause, at=clock.now(), claims=claims), frame, thumbnail

    return _kept(log, decide)


def change_thumbnail(
    log: EventLog,
    clock: Clock,
    cause: Cause,
    frame: str,
    thumbnail: int,
    changes: Mapping[str, Any],
    moved_to: str = "",
) -> Kept:
    """Change a thumbnail's name, extension, size or key, or give it to another frame; its bytes stay where they are.
    Raises NotFound, AlreadyExists for a name that is taken."""
    stream, target = frames.stream_of(frame), frames.stream_of(moved_to or frame)

    def decide() -> tuple[Commit | None, Frame, Thumbnail]:
        found = {name: log.load(name) for name in {stream, target}}
        before = _of_id(frames.fold(found[stream]), thumbnail)
        owner = frames.fold(found[target])
        if not owner.exists:
            raise NotFound(f"There is no frame {moved_to}.")
        after = msgspec.structs.replace(before, **changes)
        if after == before and stream == target:
            return None, owner, after
        writes = [Write(target, len(found[target]), (ThumbnailAdded(frame_id=owner.id, thumbnail=after),))]
        if stream != target:
            leaving = frames.fold(found[stream])
            gone = ThumbnailRemoved(frame_id=leaving.id, thumbnail=before, moved_to=moved_to)
            writes.insert(0, Write(stream, len(found[stream]), (gone,)))
        renamed = after.basename != before.basename
        commit = Commit(
            writes=tuple(writes),
            cause=cause,
            at=clock.now(),
            claims=(claim_of(after.basename),) if renamed else (),
            releases=(claim_of(before.basename),) if renamed else (),
        )
        return commit, owner, after

    return _kept(log, decide)


def remove_thumbnail(log: EventLog, clock: Clock, cause: Cause, frame: str, thumbnail: int) -> int:
    """Delete a thumbnail and return the position of the event; its bytes go afterwards. Raises NotFound."""
    stream = frames.stream_of(frame)

    def decide() -> tuple[Commit | None, Frame, Thumbnail]:
        history = log.load(stream)
        owner = frames.fold(history)
        gone = _of_id(owner, thumbnail)
        write = Write(stream, len(history), (ThumbnailRemoved(frame_id=owner.id, thumbnail=gone),))
        return Commit(writes=(write,), cause=cause, at=clock.now()), owner, gone

    return _kept(log, decide).position


def _departure(log: EventLog, lookup: ThumbnailLookup, basename: str, target: Frame) -> tuple[Write, Thumbnail]:
    """What takes the thumbnail of this name away from the frame that has it."""
    assert target.record is not None
    holder = lookup.frame_of_thumbnail(basename, at_least=log.head())
    if holder is None:
        raise RetryLater("A thumbnail of this name is being deleted; try again in a moment.")
    stream = frames.stream_of(holder)
    history = log.load(stream)
    frame = frames.fold(history)
    thumbnail = frame.thumbnail(basename)
    if thumbnail is None:
        raise StreamConflict("The thumbnail has moved on.")
    removed = ThumbnailRemoved(frame_id=frame.id, thumbnail=thumbnail, moved_to=target.record.basename)
    return Write(stream, len(history), (removed,)), thumbnail


def _of_id(frame: Frame, thumbnail: int) -> Thumbnail:
    known = next((one for one in frame.thumbnails if one.id == thumbnail), None)
    if known is None:
        raise NotFound("There is no such thumbnail.")
    return known


def _kept(log: EventLog, decide: Callable[[], tuple[Commit | None, Frame, Thumbnail]]) -> Kept:
    """Append what is decided, deciding again when somebody was faster."""
    for attempt in range(TRIES):
        try:
            commit, frame, thumbnail = decide()
            return Kept(frame, thumbnail, log.append(commit) if commit else log.head())
        except (StreamConflict, AlreadyExists):
            if attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")
