"""Events cut into rounds, each of which a few statements can apply, however many events it has."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import msgspec

from domain.event import Recorded
from domain.frames import FileDeletedFromServer, FileProcessed, FrameAmended, FrameDeleted, RelatedFramesChanged
from domain.thumbnails import ThumbnailAdded, ThumbnailRemoved


class Round(msgspec.Struct):
    """Events by what they do. No row is touched twice, for one statement couldn't; so the order in which these are
    applied is free, but `new` and `arrived` come first."""

    new: list[Recorded] = []
    arrived: list[Recorded] = []
    gone_files: list[Recorded] = []
    thumbnails: list[Recorded] = []
    gone_thumbnails: list[Recorded] = []
    gone_frames: list[Recorded] = []
    relations: list[Recorded] = []
    touched: set[Hashable] = set()

    @property
    def unlinks(self) -> bool:
        """Whether it takes links away."""
        return bool(self.gone_frames or self.relations)


def rounds(events: Iterable[Recorded], *, new_first: bool = False) -> list[Round]:
    """The events in order. What takes links away is apart from what arrives: whether it comes before or after a frame
    that names the other matters.

    With `new_first`, the first events of streams are `new` rather than `arrived`, in the earliest round that isn't
    separated from them by what takes links away: nothing else depends on whether a frame is there a little earlier.
    """
    cut = [Round()]
    stretch = cut[0]
    for recorded in events:
        now = cut[-1]
        event = recorded.event
        match event:
            case FrameDeleted():
                if _filled(now) and (not now.gone_frames or recorded.stream in now.touched):
                    cut.append(Round())
                cut[-1].gone_frames.append(recorded)
                cut[-1].touched.add(recorded.stream)
                continue
            case RelatedFramesChanged():
                if _filled(now):
                    cut.append(Round())
                cut[-1].relations.append(recorded)
                continue
            case _:
                pass
        if now.unlinks:
            now = stretch = Round()
            cut.append(now)
        match event:
            case FileProcessed() | FrameAmended():
                if new_first and recorded.version == 1:
                    stretch.new.append(recorded)
                else:
                    _next(cut, recorded.stream).arrived.append(recorded)
            case FileDeletedFromServer():
                now.gone_files.append(recorded)
            case ThumbnailAdded():
                _next(cut, event.thumbnail.id).thumbnails.append(recorded)
            case ThumbnailRemoved():
                _next(cut, event.thumbnail.id).gone_thumbnails.append(recorded)
            case _:
                pass
    return cut


def _next(cut: list[Round], row: Hashable) -> Round:
    """The round that may touch this row."""
    if row in cut[-1].touched:
        cut.append(Round())
    cut[-1].touched.add(row)
    return cut[-1]


def _filled(now: Round) -> bool:
    return bool(now.new or now.touched or now.gone_files or now.relations)
