"""FollowDestination: when a destination works again its held transfers go on; when it is deleted, they are cancelled.

(A worker that meets a destination which can't be used holds the transfer itself, see application/ferry.py.)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from application.policies.policy import commit_of
from application.ports.event_log import Commit, EventLog
from application.ports.lookups import TransferLookup
from domain import storage_configs, transfers
from domain.event import Event, Recorded
from domain.storage_configs import StorageConfigAuthorized, StorageConfigDeleted, StorageConfigResumed
from domain.transfers import Transfer


class FollowDestination:
    """See the module."""

    name = "FollowDestination"
    topics = frozenset({StorageConfigAuthorized.topic, StorageConfigResumed.topic, StorageConfigDeleted.topic})

    def __init__(self, log: EventLog, lookup: TransferLookup) -> None:
        self._log = log
        self._lookup = lookup

    def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:  # noqa: ARG002
        """See Policy.react."""
        newest = {recorded.stream: recorded for recorded in batch}
        commits = []
        for stream, recorded in newest.items():
            config = storage_configs.fold(self._log.load(stream))
            ids = self._lookup.open_transfers(config.id, at_least=recorded.position)
            found = self._log.load_many([transfers.stream_of(transfer) for transfer in ids])
            for transfer_stream, history in found.items():
                state = transfers.fold(history)
                events = _decide(state, config.deleted, config.ready())
                if events:
                    commits.append(
                        commit_of(self.name, recorded, transfer_stream, state.stream_version, *events, now=now)
                    )
        return commits


def _decide(state: Transfer, deleted: bool, ready: bool) -> tuple[Event, ...]:
    if deleted:
        # a running one may finish or fail (S34)
        return transfers.cancel(state, "Its storage configuration was deleted.") if state.status == "pending" else ()
    return transfers.release(state) if ready else ()
