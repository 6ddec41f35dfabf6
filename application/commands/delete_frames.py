"""Many frames are deleted, some at a time; each is looked at again first: it may have changed since it was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from application.ports.clock import Clock
from application.ports.event_log import Commit, EventLog, Write
from application.ports.frame_finder import Found, FrameFinder
from application.standing_deliveries import decided_upto
from application.transact import TRIES
from domain import deletion, frames, observations, storage_configs, transfers
from domain.deletion import FileInQuestion
from domain.errors import StreamConflict
from domain.event import Cause
from domain.frame_selection import FrameSelection
from domain.frames import Frame
from domain.observations import Observation
from domain.storage_configs import StorageConfig

BATCH = 500
"""Frames deleted in one commit: the log's other writers wait for some milliseconds."""


Guards = tuple[tuple[str, int], ...]
"""Streams with the versions at which a decision saw them."""


class Fate(msgspec.Struct, frozen=True):
    """What becomes of a frame that was found: it goes, unless `kept` says why not."""

    frame: Found
    kept: str = ""


class _Judged(msgspec.Struct, frozen=True):
    fate: Fate
    write: Write | None = None
    guards: Guards = ()


class FrameDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """Deletes the frames that `selection` means. With `spare_wanted` those stay that a destination is still to get."""

    log: EventLog
    finder: FrameFinder
    clock: Clock
    cause: Cause
    selection: FrameSelection
    spare_wanted: bool = False
    dry_run: bool = False

    def run(self, found: Sequence[Found]) -> list[Fate]:
        """Delete these (or only say what would be done), and return what became of each, in their order.

        Frames that were deleted or that the selection doesn't mean any more are left out. Raises RetryLater, and
        StreamConflict when others change the same frames all the time.
        """
        for _ in range(TRIES):
            judged = self._judge(found)
            writes = tuple(one.write for one in judged if one.write)
            if writes and not self.dry_run:
                guards = tuple(dict.fromkeys(guard for one in judged if one.write for guard in one.guards))
                try:
                    self.log.append(Commit(writes=writes, cause=self.cause, at=self.clock.now(), guards=guards))
                except StreamConflict:
                    continue
            return [one.fate for one in judged]
        raise StreamConflict("Others change the same frames all the time; try again when it is quieter.")

    def _judge(self, found: Sequence[Found]) -> list[_Judged]:
        histories = self.log.load_many([frames.stream_of(one.basename) for one in found])
        folded = {stream: frames.fold(history) for stream, history in histories.items()}
        meant = [
            (one, frame)
            for one in found
            if (frame := folded.get(frames.stream_of(one.basename))) is not None
            and frame.record is not None
            and self.selection.selects(frame.record)
        ]
        decided = decided_upto(self.log) if self.spare_wanted else None
        wanted = self._wanted(meant) if self.spare_wanted else {}
        judged = []
        for one, frame in meant:
            reason, guards = wanted.get(one.basename, ("", ()))
            if decided is not None and frame.arrived > decided:
                reason = "standing deliveries are to be asked still"
            write = Write(frames.stream_of(one.basename), frame.stream_version, frames.delete(frame))
            judged.append(_Judged(Fate(one, reason), None if reason else write, guards))
        return judged

    def _wanted(self, meant: Sequence[tuple[Found, Frame]]) -> dict[str, tuple[str, Guards]]:
        """Why each frame is still wanted, if it is, and what the answer rests on."""
        known = self._observations([frame for _, frame in meant])
        configs = self._configs(known)
        unfinished = self.finder.unfinished_transfers([one.basename for one, _ in meant])
        copies: dict[str, list[str]] = {}
        for one, frame in meant:
            ever = dict.fromkeys(config for each in frame.observations for config in known[each].ever_selected)
            copies[one.basename] = [
                name
                for version in frame.versions
                for name in (
                    *(transfers.transfer_id(version.id, config) for config in ever),
                    *(transfers.transfer_id(*copy) for copy in sorted(frame.copies) if copy[0] == version.id),
                    *(name for name in unfinished if name.startswith(transfers.transfer_id(version.id, ""))),
                )
            ]
        found = self.log.load_many([transfers.stream_of(name) for names in copies.values() for name in names])
        states = {stream.removeprefix("transfer:"): transfers.fold(history) for stream, history in found.items()}
        answers = {}
        for one, frame in meant:
            observation = known.get(frame.observation or "", Observation())
            mine = {name: states[name] for name in copies[one.basename] if name in states}
            reason = deletion.still_wanted(
                [
                    FileInQuestion(one.basename, version.id, "raw" if frame.is_raw else "calibrated")
                    for version in frame.versions
                    if version.id not in frame.deleted_from_server
                ],
                {config: configs[config] for config in observation.destinations},
                mine,
                expects_calibration=frame.expects_calibration(),
            )
            guards = [(transfers.stream_of(name), state.stream_version) for name, state in mine.items()]
            guards += [(observations.stream_of(each), known[each].stream_version) for each in frame.observations]
            answers[one.basename] = (reason, tuple(guards))
        return answers

    def _observations(self, meant: Sequence[Frame]) -> dict[str, Observation]:
        ids = dict.fromkeys(one for frame in meant for one in frame.observations)
        found = self.log.load_many([observations.stream_of(one) for one in ids])
        return {one: observations.fold(found.get(observations.stream_of(one), ())) for one in ids}

    def _configs(self, known: Mapping[str, Observation]) -> dict[str, StorageConfig]:
        ids = {config for observation in known.values() for config in observation.destinations}
        found = self.log.load_many([storage_configs.stream_of(config) for config in ids])
        return {config: storage_configs.fold(found.get(storage_configs.stream_of(config), ())) for config in ids}
