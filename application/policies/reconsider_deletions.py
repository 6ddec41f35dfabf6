"""ReconsiderDeletions: a file that only waited for a destination leaves the server when that wants it no more (S54).

A destination ceases to want what it hasn't got when an observation drops it, when it is deleted, or when it is to take
other files. What it was to get already is cancelled as a transfer, which DeleteWhenAllDelivered sees; here it is about
what nobody has requested yet, a calibrated file most of all. That may concern all frames of a destination: they are
gone through in pages, and each family's deletion is a commit of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from application.policies.delete_when_all_delivered import DeleteWhenAllDelivered
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.lookups import FrameLookup
from application.transact import TRIES
from domain import observations, storage_configs
from domain.errors import RetryLater, StarferryError, StreamConflict
from domain.event import Recorded
from domain.observations import DestinationsSelected
from domain.storage_configs import Content, Settings, StorageConfigDeleted, StorageConfigEdited

PAGE = 100
"""Frames of which the histories are in memory at a time."""
KINDS: tuple[Content, ...] = ("raw", "calibrated")


class ReconsiderDeletions:
    """An effect. What it has decided is guarded as by DeleteWhenAllDelivered, in whose name it is told; deciding again
    changes nothing."""

    name = "ReconsiderDeletions"
    topics = frozenset(event.topic for event in (DestinationsSelected, StorageConfigDeleted, StorageConfigEdited))

    def __init__(self, log: EventLog, lookup: FrameLookup, clock: Clock) -> None:
        self._log = log
        self._lookup = lookup
        self._clock = clock
        self._deletions = DeleteWhenAllDelivered(log)

    def act(self, batch: Sequence[Recorded]) -> None:
        """See Effect.act."""
        histories = self._log.load_many(list(dict.fromkeys(recorded.stream for recorded in batch)))
        for recorded in batch:
            before = [one for one in histories[recorded.stream] if one.version < recorded.version]
            basenames = self._concerned(recorded, before)
            for start in range(0, len(basenames), PAGE):
                self._reconsider(basenames[start : start + PAGE], recorded)

    def _concerned(self, recorded: Recorded, before: Sequence[Recorded]) -> Sequence[str]:
        """Basenames of the frames that may have waited for what is wanted no more."""
        match recorded.event:
            case DestinationsSelected() as event:
                dropped = set(observations.fold(before).destinations) - set(event.destinations)
                find = self._lookup.frames_of_observation
                return find(event.id, at_least=recorded.position) if dropped else ()
            case StorageConfigEdited() as event if not _wants_less(storage_configs.fold(before).settings, event):
                return ()
            case _:
                config = recorded.stream.removeprefix("storage_config:")
                return self._lookup.frames_for_destination(config, at_least=recorded.position)

    def _reconsider(self, basenames: Sequence[str], trigger: Recorded) -> None:
        for _ in range(TRIES):
            commits = self._deletions.reconsider(basenames, trigger, self._clock.now())
            if not commits:
                return
            refused = [answer for answer in self._log.append_all(commits) if isinstance(answer, StarferryError)]
            if not refused:
                return
            if others := [error for error in refused if not isinstance(error, StreamConflict)]:
                raise others[0]
        raise RetryLater(f"{self.name} met other writers {TRIES} times in a row.")


def _wants_less(before: Settings, edited: StorageConfigEdited) -> bool:
    return any(before.wants(kind) and not edited.settings.wants(kind) for kind in KINDS)
