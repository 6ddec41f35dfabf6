"""What becomes of a transfer whose attempt failed, and of its destination when that is the reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from application.commands.storage_configs import load_config
from application.ferry_means import FerryMeans
from application.transact import transact
from application.upload_sessions import session_owner
from application.worker_cause import worker_cause
from domain import storage_configs, transfers
from domain.errors import (
    ChecksumMismatch,
    DestinationPaused,
    GiveUp,
    NeedsAuthorization,
    NotAllowedNow,
    RetryLater,
    StarferryError,
)
from domain.event import Event, Recorded
from domain.storage_configs import StorageConfig
from domain.transfers import Transfer

logger = structlog.get_logger()


class FailedAttempts:
    """Those of one worker."""

    def __init__(self, means: FerryMeans) -> None:
        self._means = means

    def settle(self) -> None:
        """Give attempts back whose end could not be recorded: while this worker lives nobody else would. Raises
        RetryLater when the database is still away."""
        for transfer_id, attempt in tuple(self._means.unsettled.items()):
            self._means.streams.change(transfer_id, lambda state, attempt=attempt: self._give_back(state, attempt))  # type: ignore[misc]
            self._means.unsettled.pop(transfer_id, None)

    def record(self, transfer_id: str, attempt: int, config: StorageConfig, error: StarferryError) -> None:
        """The attempt ended with this error. Raises nothing: what can't be recorded now is settled later."""
        try:
            if isinstance(error, ChecksumMismatch):  # what the provider has of it is no good
                self._means.vault.shred(session_owner(transfer_id))
            self._record(transfer_id, attempt, config, error)
        except Exception as trouble:
            self._means.unsettled[transfer_id] = attempt
            kind = type(trouble).__name__
            logger.error("the end of an attempt could not be recorded", transfer=transfer_id, error=kind)

    def tell_destination(self, transfer_id: str, config: StorageConfig, error: StarferryError, now: datetime) -> None:
        """A destination that is full or refuses us pauses as a whole; the other transfers wait with this one."""

        def decide(history: Sequence[Recorded]) -> tuple[Event, ...]:
            state = storage_configs.fold(history)
            if state.access_version != config.access_version:  # it spoke of credentials that were replaced meanwhile
                return ()
            match error:
                case NeedsAuthorization():
                    return storage_configs.lose_authorization(state, str(error))
                case DestinationPaused():
                    until = now + timedelta(seconds=error.probe_after)
                    return storage_configs.pause(state, str(error), until) if not state.paused_until else ()
                case _:
                    return ()

        if concerns_destination(error):
            log = self._means.log
            why = worker_cause(self._means.worker)(log.load(transfers.stream_of(transfer_id)))
            transact(log, storage_configs.stream_of(config.id), decide, cause=why, now=now)

    def _record(self, transfer_id: str, attempt: int, config: StorageConfig, error: StarferryError) -> None:
        reason, kind = str(error), type(error).__name__
        now = self._means.clock.now()
        replaced = concerns_destination(error) and self._are_replaced(config)

        def decide(state: Transfer) -> tuple[Event, ...]:
            match error:
                case NeedsAuthorization() | DestinationPaused() if replaced:
                    return transfers.interrupt(state, attempt, "The destination's credentials were replaced meanwhile.")
                case NeedsAuthorization() | DestinationPaused() if state.attempts != attempt:
                    return ()
                case NeedsAuthorization():
                    return transfers.hold(state, reason)
                case DestinationPaused():
                    newest = load_config(self._means.log, config.id)  # others may have arrived meanwhile
                    return transfers.wait_for_pause(state, reason, now, newest.taking_nothing_since)
                case GiveUp():
                    return transfers.give_up(state, attempt, reason=reason, error=kind)
                case _:
                    retry_after = error.retry_after if isinstance(error, RetryLater) else None
                    return transfers.fail_attempt(
                        state,
                        attempt,
                        reason=reason,
                        error=kind,
                        now=now,
                        schedule=self._means.schedule,
                        retry_after=retry_after,
                    )

        try:
            self._means.streams.change(transfer_id, decide)
        except NotAllowedNow:
            return  # cancelled, or taken over after this worker was thought dead
        self.tell_destination(transfer_id, config, error, now)

    def _are_replaced(self, config: StorageConfig) -> bool:
        """Whether the attempt had other credentials than there are now."""
        return load_config(self._means.log, config.id).access_version != config.access_version

    def _give_back(self, state: Transfer, attempt: int) -> tuple[Event, ...]:
        if state.worker != self._means.worker:
            return ()
        return transfers.interrupt(state, attempt, "The end of the attempt could not be recorded.")


def concerns_destination(error: Exception) -> bool:
    """Whether the destination's other transfers would meet the same."""
    return isinstance(error, NeedsAuthorization | DestinationPaused)
