"""Carries one transfer: from winning it to a verified copy, or to the reason why not; and checks the copy later."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import BinaryIO, NoReturn

import msgspec
import structlog

from application.commands.storage_configs import load_config
from application.copy_check import CopyCheck
from application.pacing import Pace, Wait
from application.ports.clock import Clock
from application.ports.destination import Destination, Session, Upload
from application.ports.event_log import EventLog
from application.ports.file_store import FileStore
from application.ports.limits import Limits
from application.ports.open_destination import OpenDestination
from application.ports.vault import Vault
from application.transact import transact
from application.transfer_news import Sent
from application.upload_sessions import session_owner
from application.worker_cause import worker_cause
from domain import storage_configs, transfers
from domain.copies import verify
from domain.errors import (
    ChecksumMismatch,
    DestinationPaused,
    GiveUp,
    NeedsAuthorization,
    NotAllowedNow,
    NotFound,
    RetryLater,
    StarferryError,
    StreamConflict,
)
from domain.event import Event, Recorded
from domain.hashes import Hashes
from domain.storage_configs import StorageConfig
from domain.transfers import RETRY_SCHEDULE, Transfer, TransferRequested

logger = structlog.get_logger()

CHECKPOINT_BYTES = 64 * 1024 * 1024
"""A crash repeats at most this much for providers that don't tell what they have; events stay few."""

LONG_WAIT = 1.0
"""Seconds. After a longer wait for its destination's line a transfer looks whether it is still wanted."""

HashFile = Callable[[BinaryIO], tuple[int, Hashes]]
TellProgress = Callable[[Sent], None]


def tell_nobody(_: Sent) -> None:
    """Where nobody listens."""


def nobody() -> None:
    """Where nobody else carries."""


class _Cancelled(Exception):
    """The transfer is no longer ours to carry."""


class Ferry(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's means. `worker` names it in events; `schedule` holds the waits after failures, in seconds; `wait`
    lets seconds pass."""

    log: EventLog
    store: FileStore
    vault: Vault
    clock: Clock
    open_destination: OpenDestination
    limits: Limits
    hash_file: HashFile
    worker: str
    schedule: Sequence[float] = RETRY_SCHEDULE
    wait: Wait = time.sleep
    tell_progress: TellProgress = tell_nobody
    """Tells those who listen how far a transfer is; called after every piece, raises nothing."""
    unsettled: dict[str, int] = msgspec.field(default_factory=dict)
    """Attempts of ours by transfer whose end could not be recorded (the database was away)."""

    def settle(self) -> None:
        """Give attempts back whose end could not be recorded: while this worker lives nobody else would. Raises
        RetryLater when the database is still away."""
        for transfer_id, attempt in tuple(self.unsettled.items()):
            self._change(transfer_id, lambda state, attempt=attempt: self._give_back(state, attempt))  # type: ignore[misc]
            self.unsettled.pop(transfer_id, None)

    def go_on(self, another: Callable[[], object] = nobody) -> None:
        """Carry those that wait, as long as there are any and places for them. `another` is called when there may be
        more that could be carried at the same time."""
        self.settle()
        while self._carry_next(another):
            pass

    def _carry_next(self, another: Callable[[], object]) -> bool:
        waiting = iter(self.limits.waiting())
        for config_id in waiting:
            config = load_config(self.log, config_id)
            berth = self.limits.take(config_id, config.settings.max_transfers)
            if berth is None:
                continue
            try:
                transfer_id = self.limits.first(config_id)
                if transfer_id is not None:
                    if self.limits.room(config_id) or next(waiting, None) is not None:
                        another()
                    self._carry(transfer_id, config)
                    return True
            finally:
                self.limits.give_back(berth)
        return False

    def _is_due(self, transfer_id: str, transfer: Transfer, config: StorageConfig) -> bool:
        """Whether there is something to do now. What will be due waits on."""
        early = transfers.seconds_until_due(transfer, self.clock.now())
        if early is None:
            return False
        if early <= 0 or (config.deleted and transfer.status == "pending"):  # then it is cancelled at once
            return True
        self.limits.put_off(config.id, transfer_id, early)
        return False

    def _carry(self, transfer_id: str, config: StorageConfig) -> None:
        history = self.log.load(transfers.stream_of(transfer_id))
        transfer = transfers.fold(history)
        if transfer.request is None or not self._is_due(transfer_id, transfer, config):
            return
        if transfer.status == "completed":
            self._check.run(transfer_id, transfer, config)
            return
        if not config.ready():
            now = self.clock.now()
            self._change(transfer_id, lambda state: _turn_away(state, config, now), history)
            return
        history = self._won(transfer_id, history)
        if not history:
            return
        attempt = transfers.fold(history).attempts
        log = logger.bind(transfer=transfer_id, attempt=attempt, frame=transfer.request.frame)
        try:
            self._deliver(transfer_id, transfer.request, attempt, config, history)
            log.info("delivered", storage_config=config.id)
        except _Cancelled:
            log.info("transfer moved on without this worker")
        except StarferryError as error:
            log.warning("attempt failed", error=type(error).__name__, reason=str(error))
            self._failed(transfer_id, attempt, config, error)
        except Exception as error:  # an adapter's bug must not leave the transfer running for ever
            # without its message: an SDK's may hold a secret
            where = traceback.format_tb(error.__traceback__)
            log.error("attempt failed unexpectedly", error=type(error).__name__, where=where)
            self._failed(transfer_id, attempt, config, RetryLater(f"Unexpected {type(error).__name__}."))

    @property
    def _check(self) -> CopyCheck:
        return CopyCheck(
            log=self.log,
            vault=self.vault,
            clock=self.clock,
            open_destination=self.open_destination,
            worker=self.worker,
            tell_destination=self._tell_destination,
            schedule=self.schedule,
        )

    def _won(self, transfer_id: str, history: Sequence[Recorded]) -> Sequence[Recorded]:
        """The transfer's history with the start of an attempt of ours; empty when another worker was first."""
        attempt = transfers.fold(history).attempts + 1

        def decide(state: Transfer) -> tuple[Event, ...]:
            nonlocal attempt
            started = transfers.start(state, self.worker, self.clock.now())
            attempt = state.attempts + 1
            return started

        try:
            return self._change(transfer_id, decide, history)
        except (NotAllowedNow, StreamConflict):
            return ()
        except RetryLater:
            self.unsettled[transfer_id] = attempt  # the start may be stored all the same
            raise

    def _give_back(self, state: Transfer, attempt: int) -> tuple[Event, ...]:
        if state.worker != self.worker:
            return ()
        return transfers.interrupt(state, attempt, "The end of the attempt could not be recorded.")

    def _deliver(
        self,
        transfer_id: str,
        request: TransferRequested,
        attempt: int,
        config: StorageConfig,
        history: Sequence[Recorded],
    ) -> None:
        secrets = self.vault.get(config.id)
        try:
            source = self.store.open(request.store_path, request.store_key)
        except NotFound as error:
            raise GiveUp("The file is no longer on the server.") from error
        with source, self.open_destination(config, secrets) as destination:
            upload = self._upload(transfer_id, request, source)
            session = destination.begin(upload, self._saved_session(transfer_id) if attempt > 1 else None)
            kept = destination.keeps_session or upload.size > destination.chunk_size
            if kept:
                self._save_session(transfer_id, attempt, session)
            if destination.keeps_session and not self._is_ours(transfer_id, attempt):
                # Whoever took over may not have seen what was reserved here, and have reserved something else.
                self._leave(transfer_id, destination, upload, session)
            pace = Pace(self.log, self.limits, config, self.wait)
            session = self._send(transfer_id, attempt, destination, upload, session, source, pace)
            arrived = destination.finish(upload, session)
            try:
                verified = verify(request.md5, upload.size, upload.hashes, arrived.size, arrived.hashes)
            except ChecksumMismatch:
                destination.remove(arrived)
                raise
            try:
                self._change(
                    transfer_id,
                    lambda state: transfers.complete(
                        state, attempt, arrived.path, arrived.remote_id, arrived.size, verified
                    ),
                    history,
                )
            except NotAllowedNow as error:
                if self._load(transfer_id).status == "cancelled":
                    destination.remove(arrived)
                    self.vault.shred(session_owner(transfer_id))
                raise _Cancelled from error
        if kept:
            self.vault.shred(session_owner(transfer_id))

    def _send(
        self,
        transfer_id: str,
        attempt: int,
        destination: Destination,
        upload: Upload,
        session: Session,
        source: BinaryIO,
        pace: Pace,
    ) -> Session:
        saved = session.offset
        while session.offset < upload.size:
            source.seek(session.offset)
            data = source.read(min(destination.chunk_size, upload.size - session.offset))
            if not data:
                raise GiveUp("The file on the server is shorter than it was when it came in.")
            before = session.offset
            if pace.before(len(data)) > LONG_WAIT and not self._is_ours(transfer_id, attempt):
                self._leave(transfer_id, destination, upload, session)
            session = destination.put(upload, session, data)
            if session.offset <= before:
                raise RetryLater("The provider confirmed nothing of what was sent.")
            self.tell_progress(Sent(transfer_id, attempt, session.offset, upload.size))
            if session.offset - saved >= CHECKPOINT_BYTES and session.offset < upload.size:
                saved = session.offset
                self._save_session(transfer_id, attempt, session)
                self._checkpoint(transfer_id, attempt, saved, destination, upload, session)
        return session

    def _checkpoint(
        self, transfer_id: str, attempt: int, sent: int, destination: Destination, upload: Upload, session: Session
    ) -> None:
        try:
            self._change(transfer_id, lambda state: transfers.checkpoint(state, attempt, sent))
        except NotAllowedNow:
            self._leave(transfer_id, destination, upload, session)

    def _is_ours(self, transfer_id: str, attempt: int) -> bool:
        state = self._load(transfer_id)
        return state.status == "in_progress" and state.attempts == attempt

    def _leave(self, transfer_id: str, destination: Destination, upload: Upload, session: Session) -> NoReturn:
        status = self._load(transfer_id).status
        if status == "cancelled":
            destination.abandon(upload, session)
        if status in ("cancelled", "completed"):
            self.vault.shred(session_owner(transfer_id))
        raise _Cancelled

    def _upload(self, transfer_id: str, request: TransferRequested, source: BinaryIO) -> Upload:
        size, hashes = request.size, request.hashes
        if size is None or hashes is None:  # another program stored the file: nobody has read it yet
            size, hashes = self.hash_file(source)
            if hashes.md5 != request.md5.lower():
                raise GiveUp("The file on the server isn't the one that was ingested: its md5 differs.")
        return Upload(path=request.destination_path, size=size, hashes=hashes, token=transfer_id)

    def _failed(self, transfer_id: str, attempt: int, config: StorageConfig, error: StarferryError) -> None:
        try:
            if isinstance(error, ChecksumMismatch):  # what the provider has of it is no good
                self.vault.shred(session_owner(transfer_id))
            self._record_failure(transfer_id, attempt, config, error)
        except Exception as trouble:
            self.unsettled[transfer_id] = attempt
            kind = type(trouble).__name__
            logger.error("the end of an attempt could not be recorded", transfer=transfer_id, error=kind)

    def _record_failure(self, transfer_id: str, attempt: int, config: StorageConfig, error: StarferryError) -> None:
        reason, kind = str(error), type(error).__name__
        now = self.clock.now()

        def decide(state: Transfer) -> tuple[Event, ...]:
            match error:
                case NeedsAuthorization() | DestinationPaused() if state.attempts != attempt:
                    return ()
                case NeedsAuthorization():
                    return transfers.hold(state, reason)
                case DestinationPaused():
                    return transfers.wait_for_pause(state, reason, now)
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
                        schedule=self.schedule,
                        retry_after=retry_after,
                    )

        try:
            self._change(transfer_id, decide)
        except NotAllowedNow:
            return  # cancelled, or taken over after this worker was thought dead
        self._tell_destination(transfer_id, config, error, now)

    def _tell_destination(self, transfer_id: str, config: StorageConfig, error: StarferryError, now: datetime) -> None:
        """A destination that is full or refuses us pauses as a whole; the other transfers wait with this one."""

        def decide(history: Sequence[Recorded]) -> tuple[Event, ...]:
            state = storage_configs.fold(history)
            match error:
                case NeedsAuthorization():
                    return storage_configs.lose_authorization(state, str(error))
                case DestinationPaused():
                    until = now + timedelta(seconds=error.probe_after)
                    return storage_configs.pause(state, str(error), until) if not state.paused_until else ()
                case _:
                    return ()

        if isinstance(error, NeedsAuthorization | DestinationPaused):
            why = worker_cause(self.worker)(self.log.load(transfers.stream_of(transfer_id)))
            transact(self.log, storage_configs.stream_of(config.id), decide, cause=why, now=now)

    def _load(self, transfer_id: str) -> Transfer:
        return transfers.fold(self.log.load(transfers.stream_of(transfer_id)))

    def _change(
        self,
        transfer_id: str,
        decide: Callable[[Transfer], tuple[Event, ...]],
        known: Sequence[Recorded] | None = None,
    ) -> Sequence[Recorded]:
        """Append what `decide` makes of the transfer, whose history is `known`; the history then."""
        stream, now = transfers.stream_of(transfer_id), self.clock.now()
        history = self.log.load(stream) if known is None else known
        cause_of = worker_cause(self.worker)
        events: tuple[Event, ...] = ()

        def decided(told: Sequence[Recorded]) -> tuple[Event, ...]:
            nonlocal history, events
            history, events = told, decide(transfers.fold(told))
            return events

        before = transact(self.log, stream, decided, cause=cause_of, now=now, known=history) - len(events)
        why, added = cause_of(history), enumerate(events, start=1)
        return [*history, *(Recorded(stream, len(history) + n, before + n, now, why, event) for n, event in added)]

    def _saved_session(self, transfer_id: str) -> Session | None:
        """That of the latest attempt which kept one."""
        sealed = self.vault.get(session_owner(transfer_id))
        if not sealed:
            return None
        return msgspec.json.decode(sealed[max(sealed, key=_attempt_of)], type=Session)

    def _save_session(self, transfer_id: str, attempt: int, session: Session) -> None:
        """Each attempt under its own name: one that was overtaken doesn't overwrite what its successor has kept."""
        state = json.dumps({"offset": session.offset, "state": dict(session.state)})
        self.vault.put(session_owner(transfer_id), {f"session-{attempt}": state})


def _attempt_of(name: str) -> int:
    """Of a session's name in the vault; an earlier program kept one for all attempts."""
    return int(name.partition("-")[2] or 0)


def _turn_away(state: Transfer, config: StorageConfig, now: datetime) -> tuple[Event, ...]:
    """What becomes of a transfer whose destination takes nothing now."""
    if state.status != "pending":
        return ()  # another worker began before the destination closed; it may finish (S34)
    if config.deleted:
        return transfers.cancel(state, "Its storage configuration was deleted.")
    if config.needs_authorization:
        return transfers.hold(state, "The destination must be authorized again.")
    reason = state.reason if state.paused_since else "The destination is paused."
    return transfers.wait_for_pause(state, reason, now)
