"""Rules that are broken on purpose, to see that the simulation notices: one function a rule.

Each changes the program, or what it stands on, for one world; `unbroken` undoes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import msgspec

from application import one_upload
from application.commands.storage_configs import load_config
from application.ferry import Ferry
from application.policies.delete_when_all_delivered import DeleteWhenAllDelivered
from application.policies.deliver_to_destinations import DeliverToDestinations
from application.policies.effects import NudgeWorkers
from application.policies.follow_destination import FollowDestination
from application.policies.publish_archived import PublishArchived
from application.policies.remove_deleted_files import RemoveDeletedFiles
from application.policies.runner import PolicyRunner
from application.sweep import Sweep
from application.upload_sessions import SessionCleaning
from domain import deletion, transfers
from tests.simulation.state import World

Patch = Any


def _without_a_checksum() -> list[Patch]:
    """A transfer completes with whatever has arrived."""
    return [mock.patch.object(one_upload, "verify", lambda md5, *_: {"md5": md5})]


def _not_waiting_for_one_destination() -> list[Patch]:
    """Deletion forgets the last of the destinations."""
    real = deletion.safe_deletions

    def forgetful(files: Any, destinations: Any, states: Any, **named: Any) -> Any:
        fewer = dict(sorted(states.items())[:-1]) if len(states) > 1 else states
        kept = {name: one for name, one in destinations.items() if any(key.endswith(f"-{name}") for key in fewer)}
        return real(files, kept, fewer, **named)

    return [mock.patch.object(deletion, "safe_deletions", forgetful)]


def _without_guards() -> list[Patch]:
    """Deletion is decided, and committed though the streams have moved on since."""

    def unguarded(real: Any) -> Any:
        return lambda self, *given: [msgspec.structs.replace(commit, guards=()) for commit in real(self, *given)]

    return [
        mock.patch.object(DeleteWhenAllDelivered, name, unguarded(getattr(DeleteWhenAllDelivered, name)))
        for name in ("react", "reconsider")
    ]


def _nudges_lost_and_no_sweep() -> list[Patch]:
    """No worker is told, and none looks."""
    return [mock.patch.object(Sweep, "_nudge_due", return_value=0)]


def _orphans_stay() -> list[Patch]:
    """What a dead worker held isn't given to others."""
    return [mock.patch.object(Sweep, "_interrupt_orphans", return_value=0)]


def _held_stay() -> list[Patch]:
    """Nobody releases what was held."""
    return [
        mock.patch.object(Sweep, "_release_held", return_value=0),
        mock.patch.object(FollowDestination, "topics", frozenset()),
    ]


def _without_fencing() -> list[Patch]:
    """A worker that was overtaken still has its say."""
    return [mock.patch.object(transfers, "_must_run", return_value=None)]


def _session_not_kept_first() -> list[Patch]:
    """An upload's session is forgotten: the next attempt reserves another id."""
    return [
        mock.patch.object(one_upload, "latest_session", return_value=None),
    ]


def _outbox_moves_on_first() -> list[Patch]:
    """Messages that weren't confirmed count as sent."""

    def careless(self: Any, batch: Any) -> None:
        messages = [self._message(recorded) for recorded in batch]
        self._broker.publish(messages)

    return [mock.patch.object(PublishArchived, "act", careless)]


def _bytes_removed_too_often() -> list[Patch]:
    """Bytes of a deleted frame are removed again though that was recorded, and somebody may have brought them anew."""
    real = RemoveDeletedFiles.act

    def careless(self: Any, batch: Any) -> None:
        for recorded in batch:
            for version in getattr(recorded.event, "versions", ()):
                self._store.delete(version.path, version.key)
        real(self, batch)

    return [mock.patch.object(RemoveDeletedFiles, "act", careless)]


def _earlier_files_forgotten() -> list[Patch]:
    """Destinations that are selected later get nothing of what was there."""
    return [mock.patch.object(DeliverToDestinations, "_earlier", return_value=())]


def _checkpoint_before_effect() -> list[Patch]:
    """An effect's checkpoint moves first: a crash in between loses the effect."""
    real = PolicyRunner._handle

    def hasty(self: Any, mine: Any, upto: int) -> None:
        if isinstance(self.consumer, NudgeWorkers | PublishArchived | RemoveDeletedFiles):
            self._save(upto)
        real(self, mine, upto)

    return [mock.patch.object(PolicyRunner, "_handle", hasty)]


def _places_not_given_back() -> list[Patch]:
    """A place stays taken when somebody else has taken the transfer that it was for."""
    return [mock.patch.object(Ferry, "_carry_next", _greedy)]


def _greedy(self: Any, another: Any) -> bool:
    for config_id in self.limits.waiting():
        config = load_config(self.log, config_id)
        berth = self.limits.take(config_id, config.settings.max_transfers)
        if berth is None:
            continue
        first = self.limits.first(config_id, together=False)
        if first:
            another()
            self._carry(first, config)
            self.limits.give_back(berth)
            return True
    return False


def _sessions_stay() -> list[Patch]:
    """Nobody forgets the sessions of uploads whose worker died, or that were cancelled while they waited."""
    return [mock.patch.object(SessionCleaning, "run", return_value=0)]


PATCHES: dict[str, Callable[[], list[Patch]]] = {
    "completes without a checksum": _without_a_checksum,
    "deletes without waiting for one destination": _not_waiting_for_one_destination,
    "deletes without guards": _without_guards,
    "no worker looks for what is due": _nudges_lost_and_no_sweep,
    "what a dead worker held stays": _orphans_stay,
    "what was held stays": _held_stay,
    "overtaken workers have their say": _without_fencing,
    "an upload's session is forgotten": _session_not_kept_first,
    "the outbox moves on unconfirmed": _outbox_moves_on_first,
    "bytes are removed too often": _bytes_removed_too_often,
    "earlier files are forgotten": _earlier_files_forgotten,
    "the checkpoint moves before the effect": _checkpoint_before_effect,
    "places aren't given back": _places_not_given_back,
    "sessions of what is over stay": _sessions_stay,
}
WORLDS: dict[str, Callable[[World], Any]] = {
    "the file store doesn't sync": lambda world: setattr(world.disk, "syncs", False),
}
RULES = (*PATCHES, *WORLDS)


@contextmanager
def breaking(rule: str) -> Iterator[Callable[[World], Any] | None]:
    """The program with this rule broken; what is to be broken in each world, if that is where."""
    with ExitStack() as stack:
        for patch in PATCHES.get(rule, list)():
            stack.enter_context(patch)
        yield WORLDS.get(rule)
