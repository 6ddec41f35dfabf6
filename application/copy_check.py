"""Looks whether a copy that was delivered is still there and unchanged, and tells what it found (S60)."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
import structlog

from application.ports.clock import Clock
from application.ports.destination import Upload
from application.ports.event_log import EventLog
from application.ports.open_destination import OpenDestination
from application.ports.vault import Vault
from application.transfer_streams import Decide, TransferStreams
from domain import transfers
from domain.copies import difference
from domain.errors import GiveUp, NeedsAuthorization, RetryLater, StarferryError
from domain.hashes import Hashes
from domain.storage_configs import StorageConfig
from domain.transfer_events import TransferChecked
from domain.transfers import RETRY_SCHEDULE, Transfer

logger = structlog.get_logger()

MISSING = "There is no such file at the destination any more."


class CopyCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's means. `tell_destination` hears, after a transfer of it, of a fault that concerns all of
    a destination's transfers."""

    log: EventLog
    vault: Vault
    clock: Clock
    open_destination: OpenDestination
    worker: str
    tell_destination: Callable[[str, StorageConfig, StarferryError, datetime], None]
    schedule: Sequence[float] = RETRY_SCHEDULE

    def run(self, transfer_id: str, transfer: Transfer, config: StorageConfig) -> None:
        """Check the copy of a completed transfer. Whatever happens is told in events; raises RetryLater when these
        can't be stored."""
        log = logger.bind(transfer=transfer_id, storage_config=config.id)
        try:
            found = self._look(transfer_id, transfer, config)
        except StarferryError as error:
            log.warning("copy not checked", error=type(error).__name__, reason=str(error))
            self._failed(transfer_id, config, error)
        except Exception as error:  # an adapter's bug; without its message: an SDK's may hold a secret
            where = traceback.format_tb(error.__traceback__)
            log.error("copy not checked for an unexpected error", error=type(error).__name__, where=where)
            self._failed(transfer_id, config, RetryLater(f"Unexpected {type(error).__name__}."))
        else:
            log.info("copy checked", outcome=found.outcome)
            self._change(transfer_id, lambda state: transfers.checked(state, found))

    def _look(self, transfer_id: str, transfer: Transfer, config: StorageConfig) -> TransferChecked:
        if config.deleted:
            raise GiveUp("Its storage configuration was deleted.")
        if config.needs_authorization:
            raise NeedsAuthorization("The destination must be authorized again.")
        assert transfer.request is not None
        assert transfer.completed is not None
        known = {"md5": transfer.request.md5, **transfer.completed.verified}
        if transfer.request.hashes is not None:
            known = {**msgspec.structs.asdict(transfer.request.hashes), **known}
        size = transfer.completed.bytes_sent
        hashes = Hashes(**{name: known.get(name, "") for name in Hashes.__struct_fields__})
        upload = Upload(path=transfer.completed.destination_path, size=size, hashes=hashes, token=transfer_id)
        with self.open_destination(config, self.vault.get(config.id)) as destination:
            arrived = destination.look(upload, transfer.completed.remote_id)
        if arrived is None:
            return TransferChecked(outcome="missing", reason=MISSING)
        if reason := difference(known, size, arrived.size, arrived.hashes):
            return TransferChecked(outcome="changed", reason=reason)
        equal = {name: value for name, value in arrived.hashes.items() if known.get(name)}
        return TransferChecked(outcome="verified", verified=equal)

    def _failed(self, transfer_id: str, config: StorageConfig, error: StarferryError) -> None:
        now = self.clock.now()
        passing = isinstance(error, RetryLater)
        self._change(
            transfer_id,
            lambda state: transfers.fail_check(
                state,
                reason=str(error),
                error=type(error).__name__,
                now=now,
                passing=passing,
                schedule=self.schedule,
                retry_after=error.retry_after if isinstance(error, RetryLater) else None,
            ),
        )
        self.tell_destination(transfer_id, config, error, now)

    def _change(self, transfer_id: str, decide: Decide) -> None:
        TransferStreams(self.log, self.clock, self.worker).change(transfer_id, decide)
