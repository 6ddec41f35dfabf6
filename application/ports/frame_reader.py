"""Turns a file on disk into what the archive needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from domain.frame_record import FrameRecord


class Described(msgspec.Struct, frozen=True):
    """What a file, or its sender, says of it. `headers` is the chosen header as JSON-able values; `extension` has its
    dot; `path` is where the archive keeps such a file, by site, instrument and night; `content_type` is its media
    type. A picture of a frame names it in `thumbnail_of`, a basename, and has a `thumbnail_size` by name."""

    record: FrameRecord
    headers: dict[str, Any]
    extension: str
    path: str
    content_type: str = ""
    thumbnail_of: str = ""
    thumbnail_size: str = ""


class FrameReader(Protocol):
    """Reads headers only; never holds pixel data in memory."""

    def describe(self, file: Path, filename: str, metadata: Mapping[str, Any] | None = None) -> Described:
        """Check the whole structure of `file` and read its record; `filename` gives basename and extension.

        `metadata` by header key is what the sender says; it wins over the file's own headers.

        Raises a kind of InvalidFile, in one sentence, for anything that isn't a sound frame.
        """
        ...
