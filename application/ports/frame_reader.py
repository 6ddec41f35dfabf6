"""Turns a file on disk into what the archive needs to know of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import msgspec

from domain.frame_record import FrameRecord


class Described(msgspec.Struct, frozen=True):
    """What a file says of itself. `headers` is the chosen header as JSON-able values; `extension` has its dot;
    `path` is where the archive keeps such a file, by site, instrument and night."""

    record: FrameRecord
    headers: dict[str, Any]
    extension: str
    path: str


class FrameReader(Protocol):
    """Reads headers only; never holds pixel data in memory."""

    def describe(self, file: Path, filename: str) -> Described:
        """Check the whole structure of `file` and read its record; `filename` gives basename and extension.

        Raises a kind of InvalidFile, in one sentence, for anything that isn't a sound frame.
        """
        ...
