"""DeliverToDestinations: every file goes to every destination of its observation that wants its kind.

FileProcessed asks for raw files, CalibrationCompleted for calibrated ones, DestinationsSelected for all that arrived
before. What the observation's owner may not have (application/permissions.may_receive) isn't sent. The id of a
transfer follows from version and destination, so asking twice is asking once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
import structlog

from application.permissions import DeliveryRight, may_receive
from application.policies.policy import commit_of, with_claims
from application.ports.event_log import Commit, EventLog
from application.ports.lookups import FrameLookup
from application.transfer_requests import Wish, with_free_paths
from domain import accounts, destination_paths, frames, observations, storage_configs, transfers
from domain.event import Recorded
from domain.frames import CalibrationCompleted, FileProcessed, Frame, FrameVersion, is_calibrated, observation_of
from domain.observations import DestinationsSelected, Observation
from domain.storage_configs import Content, StorageConfig

logger = structlog.get_logger()


class _Delivery(msgspec.Struct, frozen=True):
    """One file that has an observation, and so perhaps destinations."""

    trigger: Recorded
    observation: str
    frame: Frame
    version: FrameVersion
    content: Content

    @property
    def key(self) -> tuple[str, int]:
        """A file may belong to several observations, a calibrated one to those of all its raw frames."""
        return self.observation, self.version.id


class DeliverToDestinations:
    """See the module."""

    name = "DeliverToDestinations"
    topics = frozenset({FileProcessed.topic, CalibrationCompleted.topic, DestinationsSelected.topic})

    def __init__(self, log: EventLog, lookup: FrameLookup) -> None:
        self._log = log
        self._lookup = lookup

    def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:
        """See Policy.react."""
        known = self._observations(batch)
        deliveries = [
            delivery
            for recorded in batch
            for delivery in self._deliveries(recorded, known)
            if known.get(delivery.observation, Observation()).destinations
        ]
        rights = self._rights(deliveries, known, now)
        deliveries = [delivery for delivery in deliveries if rights[delivery.key] != "none"]
        configs = self._configs(known[delivery.observation] for delivery in deliveries)
        wishes = {
            wish.id: (wish, delivery.trigger)
            for delivery in deliveries
            for wish in _wishes(delivery, known[delivery.observation], configs, own=rights[delivery.key] == "own")
        }
        there = self._log.load_many([transfers.stream_of(transfer) for transfer in wishes])
        new = [wish for wish, _ in wishes.values() if transfers.stream_of(wish.id) not in there]
        return [
            self._request(wish, path, wishes[wish.id][1], now) for wish, path in with_free_paths(self._log, new, taken)
        ]

    def _rights(
        self, deliveries: Sequence[_Delivery], known: dict[str, Observation], now: datetime
    ) -> dict[tuple[str, int], DeliveryRight]:
        """What the owners of these deliveries' observations may have, by the deliveries' keys."""
        owners = {known[delivery.observation].owner for delivery in deliveries}
        found = self._log.load_many([accounts.stream_of(owner) for owner in owners])
        folded = {owner: accounts.fold(found.get(accounts.stream_of(owner), ())) for owner in owners}
        rights = {
            delivery.key: may_receive(
                folded[known[delivery.observation].owner], delivery.observation, delivery.frame, now
            )
            for delivery in deliveries
        }
        for delivery in deliveries:
            if rights[delivery.key] == "none":
                logger.warning(
                    "not delivered: the observation's owner isn't in the frame's proposal, or not active",
                    observation=delivery.observation,
                    frame=delivery.frame.record.basename if delivery.frame.record else "",
                )
        return rights

    def _observations(self, batch: Sequence[Recorded]) -> dict[str, Observation]:
        """The observations that these events speak of, as far as somebody has submitted them."""
        ids = {observation for recorded in batch if (observation := _observation(recorded))}
        found = self._log.load_many([observations.stream_of(observation) for observation in ids])
        return {
            observation: observations.fold(found[observations.stream_of(observation)])
            for observation in ids
            if observations.stream_of(observation) in found
        }

    def _deliveries(self, recorded: Recorded, known: dict[str, Observation]) -> Iterator[_Delivery]:
        observation = _observation(recorded)
        if observation is None or observation not in known:
            return
        match recorded.event:
            case FileProcessed() as event if not is_calibrated(event):
                assigned = frozenset([event.observation] if event.observation else [])
                frame = Frame(id=event.frame_id, record=event.record, versions=event.versions, assigned_to=assigned)
                for version in event.versions:
                    yield _Delivery(recorded, observation, frame, version, "raw")
            case CalibrationCompleted() as event:
                frame = frames.fold(self._log.load(frames.stream_of(event.calibrated)))
                if arrived := frame.version(event.version_id):
                    yield _Delivery(recorded, observation, frame, arrived, "calibrated")
            case DestinationsSelected():
                yield from self._earlier(recorded, observation)
            case _:
                return

    def _earlier(self, recorded: Recorded, observation: str) -> Iterator[_Delivery]:
        """The newest version of each file that arrived before its destinations were selected."""
        names = self._lookup.frames_of_observation(observation, at_least=recorded.position)
        found = self._log.load_many([frames.stream_of(name) for name in names])
        folded = {name: frames.fold(found.get(frames.stream_of(name), ())) for name in names}
        calibrated = {pair for frame in folded.values() for pair in frame.calibrated}
        for name, frame in folded.items():
            if frame.newest is None or frame.record is None or frame.newest.id in frame.deleted_from_server:
                continue
            if frame.observation not in (None, observation):  # its headers have this number, but it was assigned
                continue
            if (name, frame.newest.id) in calibrated:
                yield _Delivery(recorded, observation, frame, frame.newest, "calibrated")
            elif frame.is_raw:
                yield _Delivery(recorded, observation, frame, frame.newest, "raw")

    def _configs(self, selected: Iterator[Observation]) -> dict[str, StorageConfig]:
        ids = {config for observation in selected for config in observation.destinations}
        found = self._log.load_many([storage_configs.stream_of(config) for config in ids])
        return {config: storage_configs.fold(found.get(storage_configs.stream_of(config), ())) for config in ids}

    def _request(self, wish: Wish, path: str, trigger: Recorded, now: datetime) -> Commit:
        commit = commit_of(self.name, trigger, transfers.stream_of(wish.id), 0, wish.requested(path), now=now)
        return with_claims(commit, destination_paths.path_claim(wish.config.id, path))


def _wishes(
    delivery: _Delivery, observation: Observation, configs: Mapping[str, StorageConfig], *, own: bool
) -> Iterator[Wish]:
    """What the observation's destinations want of a file; only of an owner's `own` one its deletion."""
    record = delivery.frame.record
    assert record is not None
    for config in (configs[config_id] for config_id in observation.destinations):
        if config.exists and not config.deleted and config.settings.wants(delivery.content):
            yield Wish(
                frame_id=delivery.frame.id,
                record=record,
                version=delivery.version,
                content=delivery.content,
                config=config,
                owner=observation.owner,
                user=observation.owner,
                project=observation.project_name or observation.project,
                target=observation.target,
                observation=delivery.observation,
                delete=own,
            )


def _observation(recorded: Recorded) -> str | None:
    match recorded.event:
        case FileProcessed() as event:
            return observation_of(event)
        case CalibrationCompleted() as event:
            return event.observation
        case DestinationsSelected() as event:
            return event.id
        case _:
            return None
