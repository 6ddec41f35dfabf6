"""What events take and give up besides their places in the log: names that are unique over all streams, and ids.

The claims beside the log were made by the commands that wrote the events; this says the same from the events alone, so
that they can be compared, and made anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from domain import destination_paths, frames, thumbnails
from domain.event import Event, Recorded
from domain.frames import FileProcessed, FilesRemoved, FrameAmended, FrameDeleted
from domain.thumbnails import ThumbnailAdded, ThumbnailRemoved
from domain.transfer_events import TransferRequested

HISTORY = frozenset({ThumbnailAdded.topic, ThumbnailRemoved.topic, FrameDeleted.topic})
"""Topics of a frame's earlier events that say which names a later one gives up."""


class NameChanges(msgspec.Struct, frozen=True):
    """Names that are given up, and then those that are taken."""

    released: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()


def needs_history(recorded: Recorded) -> bool:
    """Whether earlier events of the stream must be known to tell what this one changes."""
    return isinstance(recorded.event, ThumbnailAdded | FilesRemoved) and recorded.version > 1


def name_changes(recorded: Recorded, earlier: Sequence[Recorded] = ()) -> NameChanges:
    """What an event changes. `earlier` are the stream's events of the topics HISTORY before it."""
    match recorded.event:
        case FileProcessed() as event:
            return NameChanges(taken=tuple(name for one in event.versions for name in frames.claims_of(one)))
        case TransferRequested() as event:
            return NameChanges(taken=(destination_paths.path_claim(event.storage_config, event.destination_path),))
        case ThumbnailAdded() as event:
            before = _thumbnail_before(event.thumbnail.id, earlier)
            return NameChanges(
                released=(thumbnails.claim_of(before),) if before else (),
                taken=(thumbnails.claim_of(event.thumbnail.basename),),
            )
        case ThumbnailRemoved() as event if event.moved_to:  # the frame that it goes to takes the name again
            return NameChanges(released=(thumbnails.claim_of(event.thumbnail.basename),))
        case FilesRemoved() as event:
            return NameChanges(released=_given_up(event.deletion, earlier))
        case _:
            return NameChanges()


def numbers_of(event: Event) -> tuple[int, ...]:
    """The ids of frames, versions and thumbnails that an event brings."""
    match event:
        case FileProcessed():
            return (event.frame_id, *(version.id for version in event.versions))
        case FrameAmended():
            return (event.frame_id,)
        case ThumbnailAdded():
            return (event.frame_id, event.thumbnail.id)
        case _:
            return ()


def _thumbnail_before(thumbnail: int, earlier: Sequence[Recorded]) -> str:
    """The name that a thumbnail has in this stream so far; empty when it isn't there."""
    name = ""
    for recorded in earlier:
        match recorded.event:
            case ThumbnailAdded() as event if event.thumbnail.id == thumbnail:
                name = event.thumbnail.basename
            case ThumbnailRemoved() as event if event.thumbnail.id == thumbnail:
                name = ""
            case FrameDeleted():
                name = ""
            case _:
                pass
    return name


def _given_up(deletion: int, earlier: Sequence[Recorded]) -> tuple[str, ...]:
    for recorded in earlier:
        if recorded.version != deletion:
            continue
        match recorded.event:
            case FrameDeleted() as event:
                return frames.names_given_up(event)
            case ThumbnailRemoved() as event:
                return (thumbnails.claim_of(event.thumbnail.basename),)
            case _:
                pass
    return ()
