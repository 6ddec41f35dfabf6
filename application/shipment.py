"""Attempts that were won together, on their way to one destination: small files share what each would do by itself.

They are carried one after the other, and each ends by itself; what has arrived is recorded together (docs/adr/0047).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from functools import partial

import structlog

from application.failed_attempts import FailedAttempts, concerns_destination
from application.fair_share import TOGETHER_BYTES
from application.ferry_means import FerryMeans
from application.one_upload import Attempt, MovedOn, OneUpload
from application.ports.destination import Destination
from application.transact import transact
from application.transfer_streams import History
from application.worker_cause import worker_cause
from domain import storage_configs, transfers
from domain.errors import GiveUp, NotAllowedNow, NotFound, RetryLater, StarferryError
from domain.event import Event
from domain.storage_configs import StorageConfig
from domain.transfers import Transfer

logger = structlog.get_logger()

UNRECORDED_SECONDS = 0.2
"""How long what has arrived waits for those after it, at most, to be recorded with them."""


class Shipment:
    """`histories` are those of the transfers, each with the start that was won."""

    def __init__(self, means: FerryMeans, config: StorageConfig, histories: Mapping[str, History]) -> None:
        self._means = means
        self._config = config
        self._histories = histories
        attempts = [_attempt(one, transfers.fold(history)) for one, history in histories.items()]
        self._uploads = [OneUpload(means, config, attempt) for attempt in attempts]
        self._failed = FailedAttempts(means)
        self._refusal: StarferryError | None = None
        self._arrived: list[OneUpload] = []
        self._since: datetime | None = None

    def carry(self) -> None:
        """Carry all. Whatever happens is told in events, or noted to be settled; raises nothing."""
        with ExitStack() as sources:
            uploads = [one for one in self._uploads if self._goes_on(one, lambda one: self._open(one, sources))]
            try:
                if uploads:
                    secrets = self._means.vault.get(self._config.id)
                    with self._means.open_destination(self._config, secrets) as destination:
                        self._carry_to(destination, uploads)
            except Exception as error:
                for one in uploads:  # those that have ended stay as they are
                    self._fail(one.attempt, error)

    def _carry_to(self, destination: Destination, uploads: Sequence[OneUpload]) -> None:
        uploads = [one for one in uploads if self._goes_on(one, lambda one: one.clear_the_way(destination))]
        if len(uploads) > 1:
            destination.expect([one.upload for one in uploads])
        uploads = [one for one in uploads if self._goes_on(one, lambda one: one.begin(destination))]
        uploads = self._keep_sessions(uploads)
        if destination.keeps_session and uploads:
            # Whoever took over may not have seen what was reserved here, and have reserved something else.
            states = self._means.streams.states([one.attempt.transfer for one in uploads])
            uploads = [one for one in uploads if self._goes_on(one, lambda one: one.must_be_ours(states))]
        for one in uploads:
            if self._since and (one.upload.size > TOGETHER_BYTES or self._waited() >= UNRECORDED_SECONDS):
                self._record(destination)
            if self._goes_on(one, OneUpload.send):
                self._arrived.append(one)
                self._since = self._since or self._means.clock.now()
        self._record(destination)

    def _open(self, one: OneUpload, sources: ExitStack) -> None:
        request = one.attempt.request
        try:
            source = sources.enter_context(self._means.store.open(request.store_path, request.store_key))
        except NotFound as error:
            raise GiveUp("The file is no longer on the server.") from error
        one.look_at(source)

    def _keep_sessions(self, uploads: Sequence[OneUpload]) -> list[OneUpload]:
        """For whoever goes on with them. Those of which that isn't sure end here."""
        to_keep = {one.session_owner: one.sealed_session() for one in uploads if one.keeps_session}
        if not to_keep:
            return list(uploads)
        try:
            self._means.vault.put_each(to_keep)
        except StarferryError as error:
            for one in uploads:
                if one.keeps_session:
                    self._fail(one.attempt, error)
            return [one for one in uploads if not one.keeps_session]
        return list(uploads)

    def _waited(self) -> float:
        return (self._means.clock.now() - self._since).total_seconds() if self._since else 0.0

    def _record(self, destination: Destination) -> None:
        arrived, self._arrived, self._since = {one.attempt.transfer: one for one in self._arrived}, [], None

        def complete(transfer: str, state: Transfer) -> tuple[Event, ...]:
            one = arrived[transfer]
            there = one.arrived
            return transfers.complete(state, one.attempt.number, there.path, there.remote_id, there.size, one.verified)

        results: Mapping[str, History | StarferryError]
        try:
            results = self._means.streams.change_all({one: self._histories[one] for one in arrived}, complete)
        except StarferryError as error:
            results = dict.fromkeys(arrived, error)
        well = [
            one
            for transfer, one in arrived.items()
            if self._ends_well(one, partial(self._conclude, destination, results[transfer]))
        ]
        if well and self._config.taking_nothing_since:
            self._recover(results[well[0].attempt.transfer])
        over = [one.session_owner for one in well if one.keeps_session]
        if over:
            with suppress(StarferryError):  # then they are found in vain (application/upload_sessions.py)
                self._means.vault.shred_each(over)

    def _recover(self, delivery: History | StarferryError) -> None:
        """The destination, which had paused, takes files again."""
        if isinstance(delivery, StarferryError):
            return
        log, stream = self._means.log, storage_configs.stream_of(self._config.id)
        with suppress(StarferryError):  # then the next file that arrives tells it
            transact(
                log,
                stream,
                lambda history: storage_configs.recover(storage_configs.fold(history)),
                cause=worker_cause(self._means.worker)(delivery),
                now=self._means.clock.now(),
            )

    def _conclude(self, destination: Destination, result: History | StarferryError, one: OneUpload) -> None:
        if isinstance(result, NotAllowedNow):
            if self._means.streams.state(one.attempt.transfer).status == "cancelled":
                if one.arrived.made:
                    destination.remove(one.arrived)
                self._means.vault.shred(one.session_owner)
            raise MovedOn
        if isinstance(result, StarferryError):
            raise result
        _log(one.attempt).info("delivered", storage_config=self._config.id)

    def _goes_on(self, one: OneUpload, step: Callable[[OneUpload], None]) -> bool:
        """Take the step; false when the attempt has ended with it. When one is refused for a reason that concerns the
        destination those after it end with the same."""
        if self._refusal is not None:
            self._fail(one.attempt, self._refusal)
            return False
        return self._ends_well(one, step)

    def _ends_well(self, one: OneUpload, step: Callable[[OneUpload], None]) -> bool:
        try:
            step(one)
        except MovedOn:
            _log(one.attempt).info("transfer moved on without this worker")
        except Exception as error:  # an adapter's bug must not leave the transfer running for ever
            self._fail(one.attempt, error)
        else:
            return True
        return False

    def _fail(self, attempt: Attempt, error: Exception) -> None:
        if isinstance(error, StarferryError):
            _log(attempt).warning("attempt failed", error=type(error).__name__, reason=str(error))
            if concerns_destination(error):
                self._refusal = error
        else:  # without its message: an SDK's may hold a secret
            kind, where = type(error).__name__, traceback.format_tb(error.__traceback__)
            _log(attempt).error("attempt failed unexpectedly", error=kind, where=where)
            error = RetryLater(f"Unexpected {kind}.")
        self._failed.record(attempt.transfer, attempt.number, self._config, error)


def _attempt(transfer_id: str, transfer: Transfer) -> Attempt:
    assert transfer.request is not None
    return Attempt(transfer_id, transfer.attempts, transfer.request)


def _log(attempt: Attempt) -> structlog.stdlib.BoundLogger:
    bound: structlog.stdlib.BoundLogger = logger.bind(
        transfer=attempt.transfer, attempt=attempt.number, frame=attempt.request.frame
    )
    return bound
