"""Finds the frames that a selection means, in the frames read model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from domain.frame_selection import FrameSelection


class Found(msgspec.Struct, frozen=True):
    """A frame that was found."""

    id: int
    basename: str


class FrameFinder(Protocol):
    """Answers as of its read model; whoever acts on an answer looks at the frame's own events again."""

    def find(self, selection: FrameSelection, *, after: int, limit: int) -> Sequence[Found]:
        """The next frames with ids above `after`, by id. Raises RetryLater."""
        ...

    def count(self, selection: FrameSelection) -> int:
        """How many there are. Raises RetryLater."""
        ...

    def unfinished_transfers(self, basenames: Sequence[str]) -> Sequence[str]:
        """Ids of the transfers of these frames' files that are neither completed nor cancelled. Raises RetryLater."""
        ...
