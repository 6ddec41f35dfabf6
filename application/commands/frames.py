"""What operators do to frames that are there."""

from __future__ import annotations

from collections.abc import Sequence

from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.transact import transact
from domain import frames
from domain.errors import NotFound
from domain.event import Cause, Event, Recorded


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
