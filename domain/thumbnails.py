"""Thumbnails: small pictures of a frame, whose events live in the frame's stream. Their basenames are unique over all
frames."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from domain.event import Event


class Thumbnail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One picture. `size` is one of the operator's names for sizes (small, large); `path` and `key` name its bytes in
    the file store."""

    id: int
    basename: str
    extension: str
    size: str
    key: str
    path: str = ""

    @property
    def filename(self) -> str:
        """Under which name people save it."""
        return self.basename + self.extension


class ThumbnailAdded(Event, frozen=True, kw_only=True):
    """A thumbnail is there, new or (with an id that the frame has) as it is from now on. `replaced` is the one whose
    bytes nobody wants any more."""

    topic: ClassVar[str] = "frame.thumbnail_added"
    frame_id: int
    thumbnail: Thumbnail
    replaced: Thumbnail | None = None


class ThumbnailRemoved(Event, frozen=True, kw_only=True):
    """A thumbnail was deleted; or, with `moved_to`, went to the frame of that basename with its bytes."""

    topic: ClassVar[str] = "frame.thumbnail_removed"
    frame_id: int
    thumbnail: Thumbnail
    moved_to: str = ""


def claim_of(basename: str) -> str:
    """The name that no other thumbnail, of this or any frame, may hold."""
    return f"thumbnail:{basename}"
