"""DeleteWhenAllDelivered: a file leaves the server when every copy that anybody wants is proved, never before (S54).

It looks when a copy or a calibrated file has come, or won't; ReconsiderDeletions when a destination wants less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from application.policies.policy import commit_of
from application.policies.reading import Reading
from application.ports.event_log import Commit, EventLog
from application.standing_deliveries import decided_upto
from domain import deletion, frames, observations, storage_configs, transfers
from domain.deletion import FileInQuestion
from domain.errors import RetryLater
from domain.event import Recorded
from domain.frames import CalibrationCompleted, CalibrationFailed, Frame
from domain.observations import Observation
from domain.storage_configs import StorageConfig
from domain.transfer_events import TransferCancelled, TransferChecked, TransferCompleted
from domain.transfers import Transfer


class DeleteWhenAllDelivered:
    """See the module. The streams that the decision rests on are guarded: had one moved on, the commit is refused
    and decided again."""

    name = "DeleteWhenAllDelivered"
    topics = frozenset(
        event.topic
        for event in (TransferCompleted, TransferCancelled, TransferChecked, CalibrationFailed, CalibrationCompleted)
    )

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:  # noqa: ARG002
        """See Policy.react."""
        triggers: dict[str, Recorded] = {}
        reading = Reading(self._log)
        reading.ahead(recorded.stream for recorded in batch)
        for recorded in batch:
            if isinstance(recorded.event, TransferChecked) and recorded.event.outcome != "verified":
                continue  # a copy that is lost lets nothing go
            if raw := _raw_frame(reading, recorded):
                triggers[raw] = recorded
        if not triggers:
            return ()
        decided = decided_upto(self._log)
        reading = Reading(self._log)  # frames are read after that was asked: then they say the rest
        reading.ahead([*map(frames.stream_of, triggers), *(trigger.stream for trigger in triggers.values())])
        return _apart(
            commit
            for name, trigger in triggers.items()
            for commit in self._decide(reading, name, trigger, decided, now)
        )

    def reconsider(self, basenames: Sequence[str], trigger: Recorded, now: datetime) -> Sequence[Commit]:
        """The same for the families of frames that an event concerns which isn't theirs. One that has grown since then
        is left out: it is looked at when what came is delivered."""
        decided = decided_upto(self._log)
        reading = Reading(self._log)
        reading.ahead(map(frames.stream_of, basenames))
        raws = dict.fromkeys(raw for name in basenames if (raw := _raw_of(reading, name)))
        return _apart(
            commit
            for raw in raws
            for commit in self._decide(reading, raw, trigger, decided, now, arrived_by=trigger.position)
        )

    def _decide(
        self,
        reading: Reading,
        name: str,
        trigger: Recorded,
        decided: int | None,
        now: datetime,
        *,
        arrived_by: int | None = None,
    ) -> list[Commit]:
        raw = reading.state(frames.stream_of(name), frames.fold)
        if not raw.exists:
            return []
        reading.ahead(frames.stream_of(calibrated) for calibrated, _ in raw.calibrated)
        family = {name: raw} | {
            calibrated: reading.state(frames.stream_of(calibrated), frames.fold) for calibrated, _ in raw.calibrated
        }
        if arrived_by is not None and any(frame.arrived > arrived_by for frame in family.values()):
            return []
        known = _observations(reading, family)
        observation = known.get(raw.observation or "", Observation())
        if decided is not None and any(frame.arrived > decided for frame in family.values()):
            raise RetryLater("Standing deliveries haven't been asked yet whether they want the file.")
        files = [
            FileInQuestion(basename, version.id, "raw" if basename == name else "calibrated")
            for basename, frame in family.items()
            for version in frame.versions
            if version.id not in frame.deleted_from_server
        ]
        ever = dict.fromkeys(config for one in known.values() for config in one.ever_selected)
        states = _transfers(reading, _copies(files, family, tuple(ever)))
        safe = deletion.safe_deletions(
            files,
            _destinations(reading, observation.destinations),
            states,
            expects_calibration=raw.expects_calibration(),
            beyond=_destinations(reading, sorted({config for _, config in raw.copies})).values(),
        )
        guards = (
            *((observations.stream_of(one), state.stream_version) for one, state in known.items()),
            *((frames.stream_of(basename), frame.stream_version) for basename, frame in family.items()),
            *((transfers.stream_of(transfer), state.stream_version) for transfer, state in states.items()),
        )
        return self._commits(safe, family, guards, trigger, now)

    def _commits(
        self,
        safe: Sequence[deletion.SafeToDelete],
        family: dict[str, Frame],
        guards: tuple[tuple[str, int], ...],
        trigger: Recorded,
        now: datetime,
    ) -> list[Commit]:
        commits = []
        for basename, frame in family.items():
            events = tuple(
                event
                for leaving in safe
                if leaving.frame == basename
                for event in frames.delete_from_server(frame, leaving)
            )
            if events:
                stream = frames.stream_of(basename)
                commit = commit_of(self.name, trigger, stream, frame.stream_version, *events, now=now)
                others = tuple(guard for guard in guards if guard[0] != stream)
                commits.append(msgspec.structs.replace(commit, guards=others))
        # one family's deletions stand or fall together
        return [_joined(commits)] if commits else []


def _raw_frame(reading: Reading, recorded: Recorded) -> str | None:
    """The basename of the raw frame whose family an event touches."""
    if isinstance(recorded.event, CalibrationFailed | CalibrationCompleted):
        return recorded.stream.removeprefix("frame:")
    request = reading.state(recorded.stream, transfers.fold).request
    if request is None:
        return None
    return request.frame if request.content == "raw" else _raw_of(reading, request.frame)


def _raw_of(reading: Reading, basename: str) -> str | None:
    """The raw frame that this one is, or was made from."""
    frame = reading.state(frames.stream_of(basename), frames.fold)
    if frame.is_raw:
        return basename
    if frame.calibrated_from:
        return frame.calibrated_from
    related = frame.record.related if frame.record else ()
    reading.ahead(frames.stream_of(name) for name in related)
    for name in related:
        calibrated = reading.state(frames.stream_of(name), frames.fold).calibrated
        if any(one == basename for one, _ in calibrated):
            return name
    return None


def _observations(reading: Reading, family: Mapping[str, Frame]) -> dict[str, Observation]:
    """All that the family has ever belonged to: a later version may name another than an earlier one did."""
    ids = dict.fromkeys(one for frame in family.values() for one in frame.observations)
    reading.ahead(map(observations.stream_of, ids))
    return {one: reading.state(observations.stream_of(one), observations.fold) for one in ids}


def _destinations(reading: Reading, ids: Sequence[str]) -> dict[str, StorageConfig]:
    reading.ahead(map(storage_configs.stream_of, ids))
    return {config: reading.state(storage_configs.stream_of(config), storage_configs.fold) for config in ids}


def _transfers(reading: Reading, ids: Sequence[str]) -> dict[str, Transfer]:
    """Those that there are."""
    reading.ahead(map(transfers.stream_of, ids))
    return {
        transfer: reading.state(transfers.stream_of(transfer), transfers.fold)
        for transfer in ids
        if reading.has(transfers.stream_of(transfer))
    }


def _copies(files: Sequence[FileInQuestion], family: Mapping[str, Frame], selected: Sequence[str]) -> list[str]:
    """Ids of all transfers of these files that there may be: to the observations' destinations, and to others."""
    pairs = [(file.version_id, config) for file in files for config in selected]
    pairs += sorted((version, config) for frame in family.values() for version, config in frame.copies)
    known = {file.version_id for file in files}
    return list(dict.fromkeys(transfers.transfer_id(version, config) for version, config in pairs if version in known))


def _apart(commits: Iterable[Commit]) -> list[Commit]:
    """The same with no stream written twice: two raw frames may share a calibrated file."""
    apart: list[Commit] = []
    for commit in commits:
        streams = {write.stream for write in commit.writes}
        sharing = [other for other in apart if any(write.stream in streams for write in other.writes)]
        apart = [other for other in apart if other not in sharing] + [_joined([*sharing, commit])]
    return apart


def _joined(commits: Sequence[Commit]) -> Commit:
    written = {write.stream: write for commit in commits for write in commit.writes}
    writes = tuple(written.values())
    guards = tuple(dict.fromkeys(guard for commit in commits for guard in commit.guards if guard[0] not in written))
    return msgspec.structs.replace(commits[0], writes=writes, guards=guards)
