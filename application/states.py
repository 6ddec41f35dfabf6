"""What any aggregate was as of a position or a time: the fold of its events up to there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from application.ports.event_log import EventLog
from domain import (
    accounts,
    frames,
    groups,
    mail_notices,
    observations,
    standing_deliveries,
    storage_configs,
    transfers,
    webhooks,
)
from domain.errors import InvalidInput, NotFound
from domain.event import Recorded

_FOLDS: Mapping[str, Callable[[Sequence[Recorded]], msgspec.Struct]] = {
    "transfer": transfers.fold,
    "frame": frames.fold,
    "observation": observations.fold,
    "storage_config": storage_configs.fold,
    "account": accounts.fold,
    "organization": groups.fold,
    "project": groups.fold,
    "standing_delivery": standing_deliveries.fold,
    "webhook": webhooks.fold,
    "mail_notices": mail_notices.fold,
}
STATE_KINDS = tuple(_FOLDS)


class State(msgspec.Struct, frozen=True):
    """An aggregate after its first `version` events, of which the last is at `position` and was recorded `at` (UTC)."""

    kind: str
    id: str
    version: int
    position: int
    at: datetime
    last_event: str
    state: dict[str, Any]


def state_of(log: EventLog, kind: str, name: str, *, at: int | datetime | None = None, headers: bool = False) -> State:
    """What an aggregate was after all events up to a position, or recorded by a time; what it is now without either.

    A frame's headers are only told if asked for; of an account's tokens only their number. Raises InvalidInput, and
    NotFound, which tells what didn't exist yet from what never did.
    """
    if kind not in _FOLDS:
        raise InvalidInput(f"There is a state of {', '.join(STATE_KINDS)}.", field="kind")
    history, called = log.load(f"{kind}:{name}"), f"{kind.replace('_', ' ')} {name}"
    if not history:
        raise NotFound(f"There is no {called}, and never was.")
    told = [recorded for recorded in history if _by(recorded, at)]
    if not told:
        first = history[0]
        raise NotFound(
            f"The {called} didn't exist yet: its first event, at position {first.position}, was recorded "
            f"{first.at:%Y-%m-%dT%H:%M:%S.%fZ}."
        )
    last = told[-1]
    state = msgspec.to_builtins(_FOLDS[kind](told), builtin_types=(msgspec.Raw, datetime))
    if not headers:
        state.pop("headers", None)
    if kind == "account":
        state.pop("portal_token")
        state["tokens"] = len(state["tokens"])
    return State(kind, name, last.version, last.position, last.at, last.event.topic, state)


def _by(recorded: Recorded, at: int | datetime | None) -> bool:
    if at is None:
        return True
    return recorded.position <= at if isinstance(at, int) else recorded.at <= at
