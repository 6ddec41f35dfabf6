"""The whole life of anything that there is events of, told from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from application.ports.event_log import EventLog
from domain.accounts import AccountSynced, TokenIssued, TokenRevoked
from domain.errors import InvalidInput, NotFound
from domain.event import Event, Recorded
from domain.frames import CopyWanted
from domain.transfers import transfer_id

KINDS = (
    "transfer",
    "frame",
    "observation",
    "storage_config",
    "account",
    "organization",
    "project",
    "standing_delivery",
    "webhook",
    "mail_notices",
    "upkeep",
)
"""The kinds of streams: the first word of each one's name. `upkeep` has one, `transfers`."""

SHOWN_OF_HASHES = 8
"""Digits of a token's hash: enough to tell a user's tokens apart."""


_HASHES: Mapping[type[Event], tuple[str, ...]] = {
    TokenIssued: ("hash",),
    TokenRevoked: ("hash",),
    AccountSynced: ("portal_token",),
}


class Entry(msgspec.Struct, frozen=True):
    """One event for people: when (UTC), what, who and through which way in, why, and its content."""

    position: int
    at: datetime
    stream: str
    version: int
    event: str
    actor: str
    via: str
    correlation: str
    causation: int | None
    reason: str
    data: dict[str, Any]


def stream_history(log: EventLog, kind: str, name: str, *, at: datetime | None = None) -> list[Entry]:
    """The events of one aggregate in order, up to a time if one is given. Raises InvalidInput, NotFound."""
    check_kind(kind)
    recorded = log.load(f"{kind}:{name}")
    if not recorded:
        raise NotFound(f"There is no {kind.replace('_', ' ')} {name}.")
    return entries(recorded, at)


def check_kind(kind: str) -> None:
    """Raise InvalidInput for what there is no history of."""
    if kind not in KINDS:
        raise InvalidInput(f"There is a history of {', '.join(KINDS)}.", field="kind")


def frame_life(log: EventLog, transfers: Sequence[str], basename: str, *, at: datetime | None = None) -> list[Entry]:
    """A frame's events and those of these transfers of its files, in the order in which they happened. Of wishes for
    copies, and transfers that justified a deletion, those are told that are among them: the others are somebody
    else's."""
    own = log.load(f"frame:{basename}")
    if not own:
        raise NotFound(f"There is no frame {basename}.")
    told = frozenset(transfers)
    own = [recorded for recorded in own if not isinstance(recorded.event, CopyWanted) or _wish(recorded.event) in told]
    travels = log.load_many([f"transfer:{transfer}" for transfer in transfers])
    everything = [*own, *(recorded for history in travels.values() for recorded in history)]
    return [_theirs(entry, told) for entry in entries(sorted(everything, key=lambda one: one.position), at)]


def entries(recorded: Sequence[Recorded], at: datetime | None = None, *, headers: bool = False) -> list[Entry]:
    """Events as people read them; a frame's headers are left out unless asked for."""
    return [entry_of(event, headers=headers) for event in recorded if at is None or event.at <= at]


def _theirs(entry: Entry, told: frozenset[str]) -> Entry:
    """Without the names of others' transfers."""
    if "justified_by" not in entry.data:
        return entry
    justified = [transfer for transfer in entry.data["justified_by"] if transfer in told]
    return msgspec.structs.replace(entry, data=entry.data | {"justified_by": justified})


def _wish(event: CopyWanted) -> str:
    return transfer_id(event.version_id, event.storage_config)


def entry_of(recorded: Recorded, *, headers: bool = False) -> Entry:
    """One event as people read it."""
    data = msgspec.to_builtins(recorded.event, builtin_types=(msgspec.Raw, datetime))
    if not headers:
        data.pop("headers", None)
    for name in _HASHES.get(type(recorded.event), ()):
        data |= {name: data[name][:SHOWN_OF_HASHES]} if name in data else {}
    cause = recorded.cause
    return Entry(
        position=recorded.position,
        at=recorded.at,
        stream=recorded.stream,
        version=recorded.version,
        event=recorded.event.topic,
        actor=cause.actor,
        via=cause.via,
        correlation=cause.correlation,
        causation=cause.causation,
        reason=cause.reason,
        data=data,
    )
