"""What can happen to a transfer (domain/transfers.py decides what may), and to the records of many."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

import msgspec

from domain.event import Event
from domain.hashes import Hashes
from domain.storage_configs import Content, Provider

CopyState = Literal["verified", "missing", "changed"]


class TransferRequested(Event, frozen=True, kw_only=True):
    """A destination wants a version. Holds all settings as of now (S31): later edits don't touch it."""

    topic: ClassVar[str] = "transfer.requested"
    id: str
    storage_config: str
    provider: Provider
    frame: str
    frame_id: int
    version_id: int
    filename: str
    content: Content
    destination_path: str
    store_path: str
    store_key: str
    md5: str
    size: int | None = None
    hashes: Hashes | None = None
    observation: str | None = None
    owner: str = ""
    delete_from_server: bool = False


class TransferStarted(Event, frozen=True, kw_only=True):
    """A worker won the transfer. `attempt` counts all starts and is the fencing token."""

    topic: ClassVar[str] = "transfer.started"
    attempt: int
    worker: str


class TransferCheckpointed(Event, frozen=True, kw_only=True):
    """The provider has confirmed this many bytes. How to go on from there is kept sealed, outside the log."""

    topic: ClassVar[str] = "transfer.checkpointed"
    attempt: int
    bytes_sent: int


class TransferCompleted(Event, frozen=True, kw_only=True):
    """The copy is there and its checksum equals ours; `verified` names the hash that was compared and its value."""

    topic: ClassVar[str] = "transfer.completed"
    attempt: int
    destination_path: str
    remote_id: str
    bytes_sent: int
    verified: dict[str, str]


class TransferAttemptFailed(Event, frozen=True, kw_only=True):
    """An attempt failed and another follows at `next_attempt_at` (UTC)."""

    topic: ClassVar[str] = "transfer.attempt_failed"
    attempt: int
    failures: int
    reason: str
    error: str
    next_attempt_at: datetime


class TransferInterrupted(Event, frozen=True, kw_only=True):
    """The worker was lost or stopped; no attempt is used up and the transfer goes on at once (S49)."""

    topic: ClassVar[str] = "transfer.interrupted"
    attempt: int
    reason: str


class TransferFailed(Event, frozen=True, kw_only=True):
    """All attempts are used, or no retry can mend it."""

    topic: ClassVar[str] = "transfer.failed"
    attempt: int
    reason: str
    error: str


class TransferHeld(Event, frozen=True, kw_only=True):
    """The destination must be authorized or has a pause (`paused`); no attempt is used up (S45, S46)."""

    topic: ClassVar[str] = "transfer.held"
    reason: str
    paused: bool = False


class TransferReleased(Event, frozen=True, kw_only=True):
    """The destination takes files again."""

    topic: ClassVar[str] = "transfer.released"


class TransferCancelled(Event, frozen=True, kw_only=True):
    """Nobody wants this copy any more."""

    topic: ClassVar[str] = "transfer.cancelled"
    reason: str


class TransferRetried(Event, frozen=True, kw_only=True):
    """Somebody asked for another round of attempts (S47), or to deliver a missing copy again (S60)."""

    topic: ClassVar[str] = "transfer.retried"


class TransferCheckRequested(Event, frozen=True, kw_only=True):
    """Somebody wants to know whether the copy is still there and unchanged (S60)."""

    topic: ClassVar[str] = "transfer.check_requested"


class TransferChecked(Event, frozen=True, kw_only=True):
    """What was found of the copy. `verified` names the hashes that equal ours; `reason` says what differs."""

    topic: ClassVar[str] = "transfer.checked"
    outcome: CopyState
    verified: dict[str, str] = msgspec.field(default_factory=dict)
    reason: str = ""


class TransferCheckFailed(Event, frozen=True, kw_only=True):
    """The destination could not be asked; it is asked again at `next_check_at` (UTC), or not by itself (None)."""

    topic: ClassVar[str] = "transfer.check_failed"
    failures: int
    reason: str
    error: str
    next_check_at: datetime | None = None


class TransferCleared(Event, frozen=True, kw_only=True):
    """Somebody has seen that it failed, or that its copy is lost, and wants it out of the lists (S56). Nothing else
    changes: the copy is as wanted and as absent as before."""

    topic: ClassVar[str] = "transfer.cleared"


class TransferRecordsExpired(Event, frozen=True, kw_only=True):
    """The records of transfers that were completed before a time (UTC) leave the read model (S56), all but those that
    are being checked or whose copy is lost. In a stream of its own; the transfers' streams stay."""

    topic: ClassVar[str] = "transfer.records_expired"
    completed_before: datetime
