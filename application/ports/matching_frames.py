"""Finds the frames that somebody's query means, in the frames read model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from application.permissions import Principal
from application.ports.frame_finder import Found
from domain.frame_query import FrameQuery
from domain.storage_configs import Content


class MatchingFrames(Protocol):
    """Answers as of its read model, and may give too many (a region of the sky is looked at by its cells alone):
    whoever acts on an answer looks at the frame's own events again."""

    def of_query(
        self, query: FrameQuery, viewer: Principal, now: datetime, *, after: int, limit: int
    ) -> Sequence[Found]:
        """The next frames with ids above `after` that the query finds for the viewer, by id. Raises RetryLater."""
        ...

    def of_observation(self, observation: str, *, after: int, limit: int) -> Sequence[Found]:
        """The next frames of an observation, whoever may see them, by id. Raises RetryLater."""
        ...

    def newest(self, viewer: Principal, now: datetime, kinds: Sequence[Content], limit: int) -> Sequence[Found]:
        """The frames of these kinds that the viewer may see and that were observed last. Raises RetryLater."""
        ...
