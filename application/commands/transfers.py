"""What people may do to transfers: retry and cancel."""

from __future__ import annotations

from application.commands.storage_configs import load_config
from application.permissions import Principal, may_use_config, must_be_known, must_see_config
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.lookups import TransferLookup
from application.transact import Decide, transact
from domain import transfers
from domain.errors import NotAllowedNow, NotFound
from domain.event import Cause


def retry_transfer(log: EventLog, clock: Clock, cause: Cause, principal: Principal, transfer: str) -> int:
    """Queue a failed transfer again with a fresh attempt counter (S47)."""
    return _change(log, clock, cause, principal, transfer, lambda history: transfers.retry(transfers.fold(history)))


def cancel_transfer(log: EventLog, clock: Clock, cause: Cause, principal: Principal, transfer: str) -> int:
    """Cancel a transfer that is pending or running (S48)."""
    reason = f"Cancelled by {principal.username}."
    return _change(
        log, clock, cause, principal, transfer, lambda history: transfers.cancel(transfers.fold(history), reason)
    )


def retry_failed_of_config(
    log: EventLog, lookup: TransferLookup, clock: Clock, cause: Cause, principal: Principal, config_id: str
) -> list[str]:
    """Retry every failed transfer of a configuration and return their ids."""
    must_see_config(principal, load_config(log, config_id))
    retried = []
    for transfer in lookup.failed_transfers(config_id, at_least=log.head()):
        try:
            retry_transfer(log, clock, cause, principal, transfer)
        except NotAllowedNow:
            continue  # somebody retried or cleared it meanwhile
        retried.append(transfer)
    return retried


def _change(log: EventLog, clock: Clock, cause: Cause, principal: Principal, transfer: str, decide: Decide) -> int:
    must_be_known(principal)
    state = transfers.fold(log.load(transfers.stream_of(transfer)))
    request = state.request
    visible = request is not None and (
        principal.is_superuser
        or request.owner == principal.username
        or may_use_config(principal, load_config(log, request.storage_config))
    )
    if not visible:
        raise NotFound("There is no such transfer.")
    return transact(log, transfers.stream_of(transfer), decide, cause=cause, now=clock.now())
