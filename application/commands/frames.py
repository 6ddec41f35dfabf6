"""What operators do to frames that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from application.ports.clock import Clock
from application.ports.event_log import Commit, EventLog, Write
from application.transact import TRIES, transact
from domain import frames
from domain.errors import NotFound, StreamConflict
from domain.event import Cause, Event, Recorded
from domain.frames import RelatedFramesChanged

AT_A_TIME = 500
"""Streams loaded together: a mask may be related to very many frames, each with a long header."""


class Relations(msgspec.Struct, frozen=True):
    """Which frames are to be related to one, and which are linked to it now, by their basenames."""

    wanted: tuple[str, ...]
    linked: tuple[str, ...]


def amend_frame(
    log: EventLog,
    clock: Clock,
    cause: Cause,
    basename: str,
    changes: Mapping[str, Any],
    relations: Relations | None = None,
) -> int:
    """Change fields of a frame's record by hand, and (with `relations`) replace the set of its related frames, on both
    sides. Returns the position from which the read model has it; changing nothing records nothing. Raises NotFound."""
    stream = frames.stream_of(basename)
    for attempt in range(TRIES):
        history = log.load(stream)
        frame = frames.fold(history)
        if not frame.exists:
            raise NotFound(f"There is no frame {basename}.")
        change = frames.relate(frame, relations.wanted, relations.linked) if relations else ()
        removed = tuple(name for event in change for name in event.removed)
        writes = (
            Write(stream, len(history), (*frames.amend(frame, changes), *change)),
            *_others(log, removed, basename),
        )
        writes = tuple(write for write in writes if write.events)
        if not writes:
            return log.head()
        try:
            return log.append(Commit(writes=writes, cause=cause, at=clock.now()))
        except StreamConflict:
            if attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")


def delete_frame(log: EventLog, clock: Clock, cause: Cause, basename: str) -> int:
    """Remove a frame with its versions, thumbnails and links, and return the position of the event. Raises NotFound.

    The bytes go afterwards, and then the names are free for another ingest (policies/remove_deleted_files.py).
    """

    def decide(history: Sequence[Recorded]) -> tuple[Event, ...]:
        frame = frames.fold(history)
        if not frame.exists:
            raise NotFound(f"There is no frame {basename}.")
        return frames.delete(frame)

    return transact(log, frames.stream_of(basename), decide, cause=cause, now=clock.now())


def _others(log: EventLog, names: Sequence[str], basename: str) -> list[Write]:
    """What makes frames that name this one among their related ones stop doing so."""
    writes = []
    for start in range(0, len(names), AT_A_TIME):
        streams = [frames.stream_of(name) for name in names[start : start + AT_A_TIME]]
        for stream, history in log.load_many(streams).items():
            other = frames.fold(history)
            if other.record is not None and basename in other.record.related:
                events = (RelatedFramesChanged(frame_id=other.id, removed=(basename,)),)
                writes.append(Write(stream, len(history), events))
    return writes
