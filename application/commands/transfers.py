"""What people may do to transfers: retry, cancel and clear."""

from __future__ import annotations

from collections.abc import Sequence

from application.access import access_to_config, access_to_observation, change_observation, manage_config
from application.permissions import Principal, must_be_known
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.lookups import TransferLookup
from application.transact import Decide, transact
from domain import transfers
from domain.errors import Forbidden, NotAllowedNow, NotFound
from domain.event import Cause
from domain.transfer_events import TransferRequested


def retry_transfer(log: EventLog, clock: Clock, cause: Cause, principal: Principal, transfer: str) -> int:
    """Queue a failed transfer again with a fresh attempt counter (S47), or one whose copy is missing (S60)."""
    return change_transfer(
        log, clock, cause, principal, transfer, lambda history: transfers.retry(transfers.fold(history))
    )


def cancel_transfer(log: EventLog, clock: Clock, cause: Cause, principal: Principal, transfer: str) -> int:
    """Cancel a transfer that is pending or running (S48), or give up one that has failed or whose copy is lost."""
    reason = f"Cancelled by {principal.username}."
    return change_transfer(
        log, clock, cause, principal, transfer, lambda history: transfers.cancel(transfers.fold(history), reason)
    )


def clear_transfer(log: EventLog, clock: Clock, cause: Cause, principal: Principal, transfer: str) -> int:
    """Take a failed transfer, or one whose copy is lost, out of the lists (S56). It can still be retried."""
    return change_transfer(
        log, clock, cause, principal, transfer, lambda history: transfers.clear(transfers.fold(history))
    )


def clear_failed_of_config(
    log: EventLog, lookup: TransferLookup, clock: Clock, cause: Cause, principal: Principal, config_id: str
) -> list[str]:
    """Clear every failed transfer of a configuration and return their ids."""
    manage_config(log, principal, config_id)
    cleared = []
    for transfer in lookup.failed_transfers(config_id, at_least=log.head()):
        try:
            clear_transfer(log, clock, cause, principal, transfer)
        except NotAllowedNow:
            continue  # somebody retried it meanwhile
        cleared.append(transfer)
    return cleared


def retry_failed_of_config(
    log: EventLog, lookup: TransferLookup, clock: Clock, cause: Cause, principal: Principal, config_id: str
) -> list[str]:
    """Retry every failed transfer of a configuration and return their ids."""
    manage_config(log, principal, config_id)
    failed = lookup.failed_transfers(config_id, at_least=log.head())
    return _retry_all(log, clock, cause, principal, failed)


def retry_failed_of_observation(
    log: EventLog, lookup: TransferLookup, clock: Clock, cause: Cause, principal: Principal, observation: str
) -> list[str]:
    """Retry every failed transfer of an observation's files, wherever they go, and return their ids."""
    change_observation(log, principal, observation)
    failed = lookup.failed_transfers_of_observation(observation, at_least=log.head())
    return _retry_all(log, clock, cause, principal, failed)


def _retry_all(log: EventLog, clock: Clock, cause: Cause, principal: Principal, failed: Sequence[str]) -> list[str]:
    retried = []
    for transfer in failed:
        try:
            retry_transfer(log, clock, cause, principal, transfer)
        except NotAllowedNow:
            continue  # somebody retried or cleared it meanwhile
        retried.append(transfer)
    return retried


def may_see_transfer(log: EventLog, principal: Principal, transfer: str) -> bool:
    """Whether a transfer is the principal's to know of, though its record may have left the read model."""
    request = transfers.fold(log.load(transfers.stream_of(transfer))).request
    if request is None:
        return False
    try:
        return _may_change(log, principal, request)
    except Forbidden:
        return True


def change_transfer(
    log: EventLog, clock: Clock, cause: Cause, principal: Principal, transfer: str, decide: Decide
) -> int:
    """Decide on a transfer for somebody who may change it. Raises Unauthenticated, NotFound, Forbidden, and what
    `decide` raises."""
    must_be_known(principal)
    request = transfers.fold(log.load(transfers.stream_of(transfer))).request
    if request is None or not _may_change(log, principal, request):
        raise NotFound("There is no such transfer.")
    return transact(log, transfers.stream_of(transfer), decide, cause=cause, now=clock.now())


def _may_change(log: EventLog, principal: Principal, request: TransferRequested) -> bool:
    """Its owner may, who may change its observation, and who manages its destination. Raises Forbidden for those who
    may only look."""
    if principal.is_superuser or request.owner == principal.username:
        return True
    _, observation = access_to_observation(log, principal, request.observation or "")
    _, config = access_to_config(log, principal, request.storage_config)
    if observation == "change" or config == "manage":
        return True
    if observation == "view":
        raise Forbidden("You may see this transfer, but not change it.")
    return False
