"""Finds frames by reading a whole event log: always up to date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from application.frame_matching import FrameMatcher
from application.permissions import Principal, may_see
from application.ports.event_log import EventLog
from application.ports.frame_finder import Found
from domain import frames
from domain.event import Recorded
from domain.frame_query import FrameQuery
from domain.frames import Frame
from domain.storage_configs import Content


class LogMatches:
    """Implements MatchingFrames. `asked` counts the questions."""

    def __init__(self, log: EventLog, matcher: FrameMatcher) -> None:
        self._log = log
        self._matcher = matcher
        self.asked = 0

    def of_query(
        self, query: FrameQuery, viewer: Principal, now: datetime, *, after: int, limit: int
    ) -> Sequence[Found]:
        """See MatchingFrames."""
        self.asked += 1
        return [
            Found(frame.id, frame.record.basename)
            for frame in self._frames()
            if frame.record
            and frame.id > after
            and self._matcher.shows(query, frame.record, frame.headers, viewer, now)
        ][:limit]

    def of_observation(self, observation: str, *, after: int, limit: int) -> Sequence[Found]:
        """See MatchingFrames."""
        return [
            Found(frame.id, frame.record.basename)
            for frame in self._frames()
            if frame.record and frame.id > after and frame.observation == observation
        ][:limit]

    def newest(self, viewer: Principal, now: datetime, kinds: Sequence[Content], limit: int) -> Sequence[Found]:
        """See MatchingFrames."""
        seen = [
            frame
            for frame in self._frames()
            if frame.record
            and may_see(viewer, frame.record, now)
            and ("raw" if frame.record.reduction_level == 0 else "calibrated") in kinds
        ]
        seen.sort(key=lambda frame: str(frame.record and frame.record.observation_date), reverse=True)
        return [Found(frame.id, frame.record.basename) for frame in seen if frame.record][:limit]

    def _frames(self) -> list[Frame]:
        streams: dict[str, list[Recorded]] = {}
        for recorded in self._log.read(0, 1_000_000).events:
            if recorded.stream.startswith("frame:"):
                streams.setdefault(recorded.stream, []).append(recorded)
        return sorted(map(frames.fold, streams.values()), key=lambda frame: frame.id)
