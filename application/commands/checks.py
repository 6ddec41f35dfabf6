"""What people may ask of copies that were delivered: are they still there and unchanged (S60)?"""

from __future__ import annotations

from collections.abc import Sequence

from application.access import change_observation, manage_config
from application.commands.transfers import change_transfer
from application.permissions import Principal
from application.ports.clock import Clock
from application.ports.event_log import Commit, EventLog, Write
from application.ports.lookups import TransferLookup
from application.transact import TRIES
from domain import transfers
from domain.errors import NotAllowedNow, StreamConflict
from domain.event import Cause, Event
from domain.transfers import Transfer

BATCH = 500
"""Checks asked for in one commit: the log's other writers wait for some milliseconds."""


def check_transfer(log: EventLog, clock: Clock, cause: Cause, principal: Principal, transfer: str) -> int:
    """Have the copy of a completed transfer checked."""
    return change_transfer(
        log, clock, cause, principal, transfer, lambda history: transfers.request_check(transfers.fold(history))
    )


def check_config(
    log: EventLog, lookup: TransferLookup, clock: Clock, cause: Cause, principal: Principal, config_id: str
) -> int:
    """Have all copies at a destination checked, and return of how many that was asked."""
    config = manage_config(log, principal, config_id)
    if config.deleted:
        raise NotAllowedNow("This storage configuration has been deleted.")
    return _check_all(log, clock, cause, lookup.completed_transfers(storage_config=config_id, at_least=log.head()))


def check_observation(
    log: EventLog, lookup: TransferLookup, clock: Clock, cause: Cause, principal: Principal, observation: str
) -> int:
    """Have all copies of an observation's files checked, at whatever destination, and return how many."""
    change_observation(log, principal, observation)
    return _check_all(log, clock, cause, lookup.completed_transfers(observation=observation, at_least=log.head()))


def _check_all(log: EventLog, clock: Clock, cause: Cause, ids: Sequence[str]) -> int:
    return sum(_check_some(log, clock, cause, ids[first : first + BATCH]) for first in range(0, len(ids), BATCH))


def _check_some(log: EventLog, clock: Clock, cause: Cause, ids: Sequence[str]) -> int:
    """Raises StreamConflict when others change the same transfers all the time."""
    for _ in range(TRIES):
        found = log.load_many([transfers.stream_of(transfer) for transfer in ids])
        states = {stream: transfers.fold(history) for stream, history in found.items()}
        writes = tuple(
            Write(stream, state.stream_version, events) for stream, state in states.items() if (events := _wish(state))
        )
        if not writes:
            return 0
        try:
            log.append(Commit(writes=writes, cause=cause, at=clock.now()))
        except StreamConflict:
            continue
        return len(writes)
    raise StreamConflict("Others change the same transfers all the time; try again when it is quieter.")


def _wish(state: Transfer) -> tuple[Event, ...]:
    return transfers.request_check(state) if state.status == "completed" else ()
