"""CompleteCalibrations: a calibrated file that names its raw frame completes that frame's calibration (S61).

Only for observations that somebody has submitted: nobody waits for the others. When destinations are selected, the
files that arrived before are looked at too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from application.policies.policy import commit_of
from application.ports.event_log import Commit, EventLog
from application.ports.lookups import FrameLookup
from domain import frames, observations
from domain.event import Event, Recorded
from domain.frames import FileProcessed, Frame, is_calibrated, observation_of
from domain.observations import DestinationsSelected


class CompleteCalibrations:
    """See the module."""

    name = "CompleteCalibrations"
    topics = frozenset({FileProcessed.topic, DestinationsSelected.topic})

    def __init__(self, log: EventLog, lookup: FrameLookup) -> None:
        self._log = log
        self._lookup = lookup

    def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:  # noqa: ARG002
        """See Policy.react."""
        arrived = [
            (recorded, event, at, observation)
            for recorded in batch
            for event, at in self._files(recorded)
            if is_calibrated(event) and (observation := observation_of(event))
        ]
        submitted = self._log.load_many(sorted({observations.stream_of(row[-1]) for row in arrived}))
        awaited = [row for row in arrived if observations.stream_of(row[-1]) in submitted]
        raw = self._frames([name for _, event, _, _ in awaited for name in _named(event)])
        decided: dict[str, tuple[Recorded, tuple[Event, ...]]] = {}
        for recorded, event, at, observation in awaited:
            for name in _named(event):
                frame = raw.get(name)
                if frame is None or not frame.is_raw:
                    continue
                if not event.calibrated_from and frame.observation != observation:
                    continue  # a master's raw frames belong to other observations
                events = frames.complete_calibration(frame, event.record.basename, event.versions[-1].id, at=at)
                first, earlier = decided.get(name, (recorded, ()))
                decided[name] = (first, tuple(dict.fromkeys((*earlier, *events))))
        return [
            commit_of(self.name, recorded, frames.stream_of(name), raw[name].stream_version, *events, now=now)
            for name, (recorded, events) in decided.items()
            if events
        ]

    def _files(self, recorded: Recorded) -> list[tuple[FileProcessed, int]]:
        """The file that has arrived, or those that had before destinations were selected; each with its position."""
        if isinstance(recorded.event, FileProcessed):
            return [(recorded.event, recorded.position)]
        assert isinstance(recorded.event, DestinationsSelected)
        names = self._lookup.frames_of_observation(recorded.event.id, at_least=recorded.position)
        found = self._log.load_many([frames.stream_of(name) for name in names])
        earlier = [(past.event, past.position) for history in found.values() for past in history]
        return [(event, at) for event, at in earlier if isinstance(event, FileProcessed)]

    def _frames(self, names: Sequence[str]) -> dict[str, Frame]:
        found = self._log.load_many([frames.stream_of(name) for name in names])
        return {stream.removeprefix("frame:"): frames.fold(history) for stream, history in found.items()}


def _named(event: FileProcessed) -> tuple[str, ...]:
    return (event.calibrated_from,) if event.calibrated_from else event.record.related
