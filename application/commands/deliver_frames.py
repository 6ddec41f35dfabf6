"""Backfill: frames that are in the archive already go to a destination, some at a time, each looked at again (S37)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from application.access import access_to_config, access_to_observation, project_named
from application.commands.observations import check_destinations
from application.frame_matching import FrameMatcher
from application.permissions import DeliveryRight, Principal, may_have, must_be_known
from application.ports.clock import Clock
from application.ports.event_log import Commit, EventLog, Write
from application.ports.frame_finder import Found
from application.ports.matching_frames import MatchingFrames
from application.transact import TRIES
from application.transfer_requests import Wish, with_free_paths
from domain import destination_paths, frames, transfers
from domain.errors import AlreadyExists, NotFound, StreamConflict
from domain.event import Cause
from domain.frame_query import FrameQuery
from domain.frames import Frame
from domain.observations import Observation
from domain.storage_configs import StorageConfig

BATCH = 500
"""Frames requested in one commit: the log's other writers wait for some milliseconds."""


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What a backfill found: `files` and `bytes` are requested (or would be); `already` counts transfers that there
    were, by status; `unwanted` are of a kind that the destination doesn't take, `gone` have no bytes on the server."""

    frames: int = 0
    files: int = 0
    bytes: int = 0
    files_of_unknown_size: int = 0
    already: Mapping[str, int] = {}
    unwanted: int = 0
    gone: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            frames=self.frames + other.frames,
            files=self.files + other.files,
            bytes=self.bytes + other.bytes,
            files_of_unknown_size=self.files_of_unknown_size + other.files_of_unknown_size,
            already=dict(Counter(self.already) + Counter(other.already)),
            unwanted=self.unwanted + other.unwanted,
            gone=self.gone + other.gone,
        )


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """Delivers what `wanted` means, an observation's files or what a query finds for the principal, to one storage
    configuration. Repeating it changes nothing: what was requested before is counted and left alone."""

    log: EventLog
    found: MatchingFrames
    matcher: FrameMatcher
    clock: Clock
    cause: Cause
    principal: Principal
    storage_config: str
    wanted: FrameQuery | str
    dry_run: bool = False

    def batches(self, after: int = 0) -> Iterator[tuple[int, Tally, int]]:
        """Request the copies (or only count them), some at a time in the order of the frames' ids, as the iteration
        goes on. Each batch comes with the id after which the next begins, and with how many frames were looked at.

        Raises Unauthenticated; NotFound for an observation that the principal doesn't know of; InvalidInput for a
        destination that they can't select (now: one may be disabled on the way); RetryLater; and StreamConflict when
        others change the same frames all the time.
        """
        must_be_known(self.principal)
        while batch := self._next(after):
            after = batch[-1].id
            yield after, self._deliver(batch), len(batch)

    def _next(self, after: int) -> Sequence[Found]:
        self._config(self._observation())
        if isinstance(self.wanted, str):
            return self.found.of_observation(self.wanted, after=after, limit=BATCH)
        return self.found.of_query(self.wanted, self.principal, self.clock.now(), after=after, limit=BATCH)

    def _deliver(self, batch: Sequence[Found]) -> Tally:
        taken: frozenset[str] = frozenset()
        for _ in range(TRIES):
            observation = self._observation()
            tally, wishes = self._judge(batch, self._config(observation), observation)
            if self.dry_run or not wishes:
                return tally
            try:
                self.log.append(self._commit(wishes, taken))
            except StreamConflict:
                continue
            except AlreadyExists as error:
                taken |= frozenset(error.taken)
                continue
            return tally
        raise StreamConflict("Others change the same frames all the time; try again when it is quieter.")

    def _judge(
        self, batch: Sequence[Found], config: StorageConfig, observation: Observation | None
    ) -> tuple[Tally, list[tuple[Frame, Wish]]]:
        histories = self.log.load_many([frames.stream_of(one.basename) for one in batch])
        folded = [frames.fold(history) for history in histories.values()]
        rights = [(frame, self._right(frame, observation)) for frame in folded]
        meant = [(frame, right) for frame, right in rights if right != "none"]
        there = [(frame, right) for frame, right in meant if _on_server(frame)]
        possible = [(frame, self._wish(frame, config, observation, own=right == "own")) for frame, right in there]
        wishes = [(frame, wish) for frame, wish in possible if config.settings.wants(wish.content)]
        requested = self.log.load_many([transfers.stream_of(wish.id) for _, wish in wishes])
        new = [(frame, wish) for frame, wish in wishes if transfers.stream_of(wish.id) not in requested]
        sizes = [wish.version.size for _, wish in new]
        tally = Tally(
            frames=len(meant),
            files=len(new),
            bytes=sum(size or 0 for size in sizes),
            files_of_unknown_size=sizes.count(None),
            already=dict(Counter(str(transfers.fold(history).status) for history in requested.values())),
            unwanted=len(there) - len(wishes),
            gone=len(meant) - len(there),
        )
        return tally, new

    def _right(self, frame: Frame, observation: Observation | None) -> DeliveryRight:
        """What the principal may have of a frame, if it is meant."""
        now = self.clock.now()
        if frame.record is None:
            return "none"
        if observation is not None:
            assigned = observation.submitted and observation.id in frame.assigned_to
            mine = assigned and observation.owner == self.principal.username
            right = may_have(self.principal, frame.record, now, assigned=mine)
            return right if frame.observation == observation.id else "none"
        assert isinstance(self.wanted, FrameQuery)
        shown = self.matcher.shows(self.wanted, frame.record, frame.headers, self.principal, now)
        return may_have(self.principal, frame.record, now) if shown else "none"

    def _wish(self, frame: Frame, config: StorageConfig, observation: Observation | None, *, own: bool) -> Wish:
        assert frame.record is not None
        assert frame.newest is not None
        named = observation or Observation(owner=self.principal.username)
        return Wish(
            frame_id=frame.id,
            record=frame.record,
            version=frame.newest,
            content="raw" if frame.is_raw else "calibrated",
            config=config,
            owner=self.principal.username,
            user=named.owner or self.principal.username,
            project=named.project_name or named.project,
            target=named.target,
            observation=named.id or None,
            delete=own,
        )

    def _commit(self, wishes: Sequence[tuple[Frame, Wish]], taken: frozenset[str]) -> Commit:
        writes: list[Write] = []
        claims: list[str] = []
        by_transfer = {wish.id: frame for frame, wish in wishes}
        for wish, path in with_free_paths(self.log, [wish for _, wish in wishes], taken):
            frame = by_transfer[wish.id]
            wanted = frames.want_copy(frame, wish.version.id, wish.config.id)
            writes += [
                Write(frames.stream_of(wish.record.basename), frame.stream_version, wanted),
                Write(transfers.stream_of(wish.id), 0, (wish.requested(path),)),
            ]
            claims.append(destination_paths.path_claim(wish.config.id, path))
        return Commit(writes=tuple(writes), cause=self.cause, at=self.clock.now(), claims=tuple(claims))

    def _observation(self) -> Observation | None:
        if not isinstance(self.wanted, str):
            return None
        observation, access = access_to_observation(self.log, self.principal, self.wanted)
        if access == "none":
            raise NotFound("There is no such observation.")
        return observation

    def _config(self, observation: Observation | None) -> StorageConfig:
        """The configuration, if the principal can select it for this. One of a project is for that project's
        observations; for anything else only who manages it may use it."""
        config, access = access_to_config(self.log, self.principal, self.storage_config)
        project = observation.project if observation else ""
        if not project_named(self.log, project) and access == "manage" and config.scope == "project":
            project = config.scope_id
        check_destinations(self.log, self.principal, (self.storage_config,), project, field="storage_config")
        return config


def _on_server(frame: Frame) -> bool:
    return frame.newest is not None and frame.newest.id not in frame.deleted_from_server
