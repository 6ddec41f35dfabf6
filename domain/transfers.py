"""The Transfer aggregate: one version going to one destination, from the request to a verified copy.

pending ──start──▶ in_progress ──complete──▶ completed
   ▲  ◀─attempt failed / interrupted─┘  │
   │                                    └──last attempt, or no retry can mend it──▶ failed ──retry──▶ pending
   └─hold / release: pending, but waiting for the destination    pending, in_progress ──cancel──▶ cancelled

A failed one can be given up: it is cancelled by hand, or when its destination is deleted. A completed one can be
checked on demand (S60): is the copy still there and unchanged? One that is missing can be delivered again, as a failed
transfer can be retried; one that is missing or changed can be given up, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from domain.errors import NotAllowedNow
from domain.event import Event, Recorded
from domain.transfer_events import (
    CopyState,
    TransferAttemptFailed,
    TransferCancelled,
    TransferChecked,
    TransferCheckFailed,
    TransferCheckpointed,
    TransferCheckRequested,
    TransferCleared,
    TransferCompleted,
    TransferFailed,
    TransferHeld,
    TransferInterrupted,
    TransferReleased,
    TransferRequested,
    TransferRetried,
    TransferStarted,
)

Status = Literal["pending", "in_progress", "completed", "failed", "cancelled"]
RETRY_SCHEDULE: tuple[float, ...] = (300.0, 600.0, 1200.0)
"""Seconds to wait after the 1st, 2nd and 3rd failure; the one after them is final (S43)."""
UPKEEP_STREAM = "upkeep:transfers"
"""Where TransferRecordsExpired is told."""
PAUSE_LIMIT = timedelta(days=7)
"""How long a transfer waits for a destination that is full or over a limit and takes nothing at all (S46)."""


class Transfer(msgspec.Struct, frozen=True):
    """What commands and workers need to know of a transfer.

    `attempts` counts all starts, `failures` those that failed since the last manual retry. `paused_since` is when it
    began to wait for a destination that is full or limited; trying in vain now and then doesn't end that wait.
    `copy` is what the last check found of the copy; `checking` whether one is asked for, `check_failures` how often the
    destination could not be asked for it, `next_check_at` when it is asked again.
    """

    request: TransferRequested | None = None
    status: Status = "pending"
    attempts: int = 0
    failures: int = 0
    worker: str = ""
    held: bool = False
    paused_since: datetime | None = None
    bytes_sent: int = 0
    next_attempt_at: datetime | None = None
    completed: TransferCompleted | None = None
    reason: str = ""
    copy: CopyState | None = None
    checking: bool = False
    check_failures: int = 0
    next_check_at: datetime | None = None
    cleared: bool = False
    stream_version: int = 0

    @property
    def delivered(self) -> bool:
        """Whether a copy with an equal checksum is there, as far as we know: nobody has found it gone or changed."""
        proved = self.completed is not None and bool(self.completed.verified)
        return self.status == "completed" and proved and not self.lost

    @property
    def lost(self) -> bool:
        """Whether there was a copy, and somebody has found it gone or changed."""
        return self.status == "completed" and self.copy in ("missing", "changed")


def transfer_id(version_id: int, storage_config: str) -> str:
    """The id follows from what goes where, so asking twice meets the same transfer."""
    return f"v{version_id}-{storage_config}"


def destination_of(transfer: str) -> str:
    """The storage configuration in a transfer's id."""
    return transfer.partition("-")[2]


def stream_of(transfer: str) -> str:
    """The stream of a transfer."""
    return f"transfer:{transfer}"


def evolve(transfer: Transfer, recorded: Recorded) -> Transfer:
    """The transfer after one more of its events."""
    replace = msgspec.structs.replace
    transfer = replace(transfer, stream_version=recorded.version)
    match recorded.event:
        case TransferRequested() as event:
            return replace(transfer, request=event, status="pending")
        case TransferStarted() as event:
            return replace(
                transfer, status="in_progress", attempts=event.attempt, worker=event.worker, next_attempt_at=None
            )
        case TransferCheckpointed() as event:
            return replace(transfer, bytes_sent=event.bytes_sent)
        case TransferCompleted() as event:
            return replace(
                transfer,
                status="completed",
                completed=event,
                bytes_sent=event.bytes_sent,
                reason="",
                paused_since=None,
            )
        case TransferAttemptFailed() as event:
            return replace(
                transfer,
                status="pending",
                failures=event.failures,
                next_attempt_at=event.next_attempt_at,
                reason=event.reason,
                paused_since=None,
            )
        case TransferInterrupted():
            return replace(transfer, status="pending", next_attempt_at=None)
        case TransferFailed() as event:
            return replace(transfer, status="failed", reason=event.reason, next_attempt_at=None, paused_since=None)
        case TransferHeld() as event:
            since = (transfer.paused_since or recorded.at) if event.paused else None
            return replace(transfer, status="pending", held=True, reason=event.reason, paused_since=since)
        case TransferReleased():
            return replace(transfer, held=False, next_attempt_at=None)
        case TransferCancelled() as event:
            return replace(
                _unchecked(transfer),
                status="cancelled",
                held=False,
                reason=event.reason,
                next_attempt_at=None,
                completed=None,
            )
        case TransferRetried():
            return replace(
                _unchecked(transfer),
                status="pending",
                failures=0,
                held=False,
                next_attempt_at=None,
                reason="",
                paused_since=None,
                completed=None,
                copy=None,
                cleared=False,
            )
        case TransferCleared():
            return replace(transfer, cleared=True)
        case TransferCheckRequested():
            return replace(_unchecked(transfer), checking=True)
        case TransferChecked() as event:
            return replace(_unchecked(transfer), copy=event.outcome)
        case TransferCheckFailed() as event:
            again = event.next_check_at
            return replace(transfer, checking=again is not None, check_failures=event.failures, next_check_at=again)
        case _:
            return transfer


def fold(history: Iterable[Recorded]) -> Transfer:
    """The transfer that a stream tells of."""
    transfer = Transfer()
    for recorded in history:
        transfer = evolve(transfer, recorded)
    return transfer


def start(transfer: Transfer, worker: str, now: datetime) -> tuple[Event, ...]:
    """Decide on a worker's wish to begin. Raises NotAllowedNow unless the transfer is pending, free and due."""
    if transfer.request is None:
        raise NotAllowedNow("There is no such transfer.")
    if transfer.status != "pending" or transfer.held:
        raise NotAllowedNow(f"The transfer is {'held' if transfer.held else transfer.status}.")
    if transfer.next_attempt_at and transfer.next_attempt_at > now:
        raise NotAllowedNow("The transfer's next attempt isn't due yet.")
    return (TransferStarted(attempt=transfer.attempts + 1, worker=worker),)


def checkpoint(transfer: Transfer, attempt: int, bytes_sent: int) -> tuple[Event, ...]:
    """Decide on progress that the provider has confirmed."""
    _must_run(transfer, attempt)
    return (TransferCheckpointed(attempt=attempt, bytes_sent=bytes_sent),)


def complete(
    transfer: Transfer, attempt: int, destination_path: str, remote_id: str, size: int, verified: dict[str, str]
) -> tuple[Event, ...]:
    """Decide on a copy that has arrived. Raises NotAllowedNow without an equal checksum."""
    _must_run(transfer, attempt)
    if not verified:
        raise NotAllowedNow("A transfer only completes with a checksum that equals ours.")
    return (
        TransferCompleted(
            attempt=attempt,
            destination_path=destination_path,
            remote_id=remote_id,
            bytes_sent=size,
            verified=verified,
        ),
    )


def fail_attempt(
    transfer: Transfer,
    attempt: int,
    *,
    reason: str,
    error: str,
    now: datetime,
    schedule: Sequence[float] = RETRY_SCHEDULE,
    retry_after: float | None = None,
) -> tuple[Event, ...]:
    """Decide on a failed attempt: another after the schedule's wait (or the provider's, when longer, S44), or none."""
    _must_run(transfer, attempt)
    failures = transfer.failures + 1
    if failures > len(schedule):
        return (TransferFailed(attempt=attempt, reason=reason, error=error),)
    wait = max(schedule[failures - 1], retry_after or 0.0)
    return (
        TransferAttemptFailed(
            attempt=attempt,
            failures=failures,
            reason=reason,
            error=error,
            next_attempt_at=now + timedelta(seconds=wait),
        ),
    )


def give_up(transfer: Transfer, attempt: int, *, reason: str, error: str) -> tuple[Event, ...]:
    """Decide on a fault that no retry can mend."""
    _must_run(transfer, attempt)
    return (TransferFailed(attempt=attempt, reason=reason, error=error),)


def interrupt(transfer: Transfer, attempt: int, reason: str) -> tuple[Event, ...]:
    """Decide on a lost or stopping worker; nothing to decide when the transfer has moved on since."""
    if transfer.status != "in_progress" or transfer.attempts != attempt:
        return ()
    return (TransferInterrupted(attempt=attempt, reason=reason),)


def hold(transfer: Transfer, reason: str, *, paused: bool = False) -> tuple[Event, ...]:
    """Decide on waiting for the destination; also takes a running attempt back."""
    if transfer.held or transfer.status not in ("pending", "in_progress"):
        return ()
    return (TransferHeld(reason=reason, paused=paused),)


def wait_for_pause(
    transfer: Transfer, reason: str, now: datetime, taking_nothing_since: datetime | None
) -> tuple[Event, ...]:
    """Decide on a destination that is full or over a limit: wait for it, or fail after a week in which it has taken
    nothing, this transfer or another (S46). One that takes some files every day may be waited for longer."""
    held = hold(transfer, reason, paused=True)
    since = transfer.paused_since and taking_nothing_since and max(transfer.paused_since, taking_nothing_since)
    if held and since and now - since >= PAUSE_LIMIT:
        return (TransferFailed(attempt=transfer.attempts, reason=reason, error="DestinationPaused"),)
    return held


def release(transfer: Transfer) -> tuple[Event, ...]:
    """Decide on the end of the wait."""
    return (TransferReleased(),) if transfer.held and transfer.status == "pending" else ()


def cancel(transfer: Transfer, reason: str) -> tuple[Event, ...]:
    """Decide on cancellation, possible while pending or running (S48). One that has failed, or whose copy is lost, is
    given up so: nothing waits for it any more (S54). Cancelling twice changes nothing."""
    if transfer.status == "cancelled":
        return ()
    if transfer.cleared:
        raise NotAllowedNow("The transfer was cleared away. Retry it, then it can be cancelled.")
    if transfer.status == "completed" and not transfer.lost:
        raise NotAllowedNow(
            f"The transfer is {transfer.status}; only one that is pending or running can be cancelled, or one that has "
            "failed or whose copy is lost."
        )
    return (TransferCancelled(reason=reason),)


def abandon(transfer: Transfer, reason: str) -> tuple[Event, ...]:
    """Decide on the end of the destination: what waits for it, or has failed to reach it, is cancelled (S34, S42), so
    that the file waits for it no longer (S54). A running one may finish or fail, and copies that are there stay."""
    return (TransferCancelled(reason=reason),) if transfer.status in ("pending", "failed") else ()


def retry(transfer: Transfer) -> tuple[Event, ...]:
    """Decide on a manual retry of a failed transfer (S47), or of one whose copy is missing (S60)."""
    if transfer.status == "completed" and transfer.copy == "missing":
        return (TransferRetried(),)
    if transfer.status != "failed":
        raise NotAllowedNow(
            f"The transfer is {transfer.status}; only a failed one can be retried, or one whose copy is missing."
        )
    return (TransferRetried(),)


def clear(transfer: Transfer) -> tuple[Event, ...]:
    """Decide on taking a failed or lost one out of the lists (S56); it can still be retried."""
    if transfer.status != "failed" and not transfer.lost:
        raise NotAllowedNow(
            f"The transfer is {transfer.status}; only a failed one can be cleared, or one whose copy is lost."
        )
    return () if transfer.cleared else (TransferCleared(),)


def request_check(transfer: Transfer) -> tuple[Event, ...]:
    """Decide on a wish to check the copy (S60); asking again before it is done changes nothing."""
    if transfer.status != "completed":
        raise NotAllowedNow(f"The transfer is {transfer.status}; only a completed one has a copy to check.")
    return () if transfer.checking else (TransferCheckRequested(),)


def seconds_until_due(transfer: Transfer, now: datetime) -> float | None:
    """How long until a worker has something to do, an upload or a check; 0 or less for now, None for nothing."""
    if transfer.status == "completed":
        wanted, at = transfer.checking, transfer.next_check_at
    else:
        wanted, at = transfer.status == "pending" and not transfer.held, transfer.next_attempt_at
    if not wanted:
        return None
    return (at - now).total_seconds() if at else 0.0


def is_due(transfer: Transfer, now: datetime) -> bool:
    """Whether a worker has something to do now."""
    seconds = seconds_until_due(transfer, now)
    return seconds is not None and seconds <= 0


def checked(transfer: Transfer, found: TransferChecked) -> tuple[Event, ...]:
    """Decide on what a check found; nothing when another worker has told already, or the copy is on its way again."""
    return (found,) if transfer.status == "completed" and transfer.checking else ()


def fail_check(
    transfer: Transfer,
    *,
    reason: str,
    error: str,
    now: datetime,
    passing: bool,
    schedule: Sequence[float] = RETRY_SCHEDULE,
    retry_after: float | None = None,
) -> tuple[Event, ...]:
    """Decide on a destination that could not be asked. A `passing` fault is tried again as an upload's would be."""
    if transfer.status != "completed" or not transfer.checking:
        return ()
    failures = transfer.check_failures + 1
    again = None
    if passing and failures <= len(schedule):
        again = now + timedelta(seconds=max(schedule[failures - 1], retry_after or 0.0))
    return (TransferCheckFailed(failures=failures, reason=reason, error=error, next_check_at=again),)


def _unchecked(transfer: Transfer) -> Transfer:
    return msgspec.structs.replace(transfer, checking=False, check_failures=0, next_check_at=None)


def _must_run(transfer: Transfer, attempt: int) -> None:
    if transfer.status != "in_progress" or transfer.attempts != attempt:
        raise NotAllowedNow("The transfer has moved on without this worker.")
