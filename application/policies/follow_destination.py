"""FollowDestination: when a destination works again its held transfers go on; when it is deleted, those that haven't
reached it are cancelled, also those that were running then, as soon as their attempt has ended without a copy.

(A worker that meets a destination which can't be used holds the transfer itself, see application/ferry.py.)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from application.policies.policy import commit_of
from application.policies.reading import Reading
from application.ports.event_log import Commit, EventLog
from application.ports.lookups import TransferLookup
from domain import storage_configs, transfers
from domain.event import Event, Recorded
from domain.storage_configs import (
    StorageConfig,
    StorageConfigAuthorized,
    StorageConfigDeleted,
    StorageConfigResumed,
)
from domain.transfer_events import TransferAttemptFailed, TransferFailed, TransferHeld, TransferInterrupted
from domain.transfers import Transfer

UNDELIVERED = (TransferAttemptFailed, TransferFailed, TransferHeld, TransferInterrupted)
"""Ends of attempts that a deleted destination's transfers don't outlive, however late the next would be."""


class FollowDestination:
    """See the module."""

    name = "FollowDestination"
    topics = frozenset(
        event.topic for event in (StorageConfigAuthorized, StorageConfigResumed, StorageConfigDeleted, *UNDELIVERED)
    )

    def __init__(self, log: EventLog, lookup: TransferLookup) -> None:
        self._log = log
        self._lookup = lookup

    def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:  # noqa: ARG002
        """See Policy.react."""
        reading = Reading(self._log)
        newest = {recorded.stream: recorded for recorded in batch}
        reading.ahead(_config_stream(recorded) for recorded in newest.values())
        triggers: dict[str, Recorded] = {}
        for recorded in newest.values():
            config = reading.state(_config_stream(recorded), storage_configs.fold)
            for transfer in self._concerned(recorded, config):
                triggers.setdefault(transfers.stream_of(transfer), recorded)
        reading.ahead(triggers)
        commits = []
        for stream, recorded in triggers.items():
            state = reading.state(stream, transfers.fold)
            events = _decide(state, reading.state(_config_stream(recorded), storage_configs.fold))
            if events:
                commits.append(commit_of(self.name, recorded, stream, state.stream_version, *events, now=now))
        return commits

    def _concerned(self, recorded: Recorded, config: StorageConfig) -> Sequence[str]:
        if isinstance(recorded.event, UNDELIVERED):
            return [recorded.stream.removeprefix("transfer:")] if config.deleted else []
        find = self._lookup.unended_transfers if config.deleted else self._lookup.open_transfers
        return find(config.id, at_least=recorded.position)


def _config_stream(recorded: Recorded) -> str:
    if isinstance(recorded.event, UNDELIVERED):
        return storage_configs.stream_of(transfers.destination_of(recorded.stream.removeprefix("transfer:")))
    return recorded.stream


def _decide(state: Transfer, config: StorageConfig) -> tuple[Event, ...]:
    if config.deleted:
        return transfers.abandon(state, "Its storage configuration was deleted.")
    return transfers.release(state) if config.ready() else ()
