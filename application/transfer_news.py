"""What people are told of a transfer, in the same words by whichever way they hear it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from domain import transfers
from domain.event import Event, Recorded
from domain.transfer_events import (
    TransferAttemptFailed,
    TransferCancelled,
    TransferChecked,
    TransferCheckpointed,
    TransferCompleted,
    TransferFailed,
    TransferHeld,
    TransferInterrupted,
    TransferReleased,
    TransferRequested,
    TransferRetried,
    TransferStarted,
)
from domain.transfers import Status

Kind = Literal["state", "progress"]

STATUSES: dict[type[Event], Status] = {
    TransferRequested: "pending",
    TransferStarted: "in_progress",
    TransferCheckpointed: "in_progress",
    TransferCompleted: "completed",
    TransferAttemptFailed: "pending",
    TransferInterrupted: "pending",
    TransferFailed: "failed",
    TransferHeld: "pending",
    TransferReleased: "pending",
    TransferCancelled: "cancelled",
    TransferRetried: "pending",
    TransferChecked: "completed",
}
"""The status that follows from each event alone: no other event of a transfer leads elsewhere."""

TOPICS = frozenset(event.topic for event in STATUSES)


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a transfer. `position` is its place in the log, `event` the topic, `held` that it
    waits for its destination, `error` a sentence for its owner; what doesn't belong to the event is null."""

    position: int
    at: datetime
    event: str
    transfer: str
    status: Status
    held: bool
    storage_config: str
    provider: str
    observation: str | None
    frame: str
    content: str
    destination_path: str
    bytes_total: int | None
    bytes_sent: int | None = None
    attempt: int | None = None
    next_attempt_at: datetime | None = None
    error: str | None = None

    @property
    def kind(self) -> Kind:
        """Whether its state has changed, or only its progress."""
        return "progress" if self.event == TransferCheckpointed.topic else "state"

    @property
    def is_failure(self) -> bool:
        """Whether its owner may have to do something: nothing goes on by itself, or only once the destination does."""
        lost = self.event == TransferChecked.topic and self.error is not None
        return self.held or lost or self.status == "failed"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that a destination has taken since the log last told of it. No event, so it has no position, and whoever
    isn't listening just then never hears of it."""

    at: datetime
    event: Literal["transfer.progress"] = "transfer.progress"
    transfer: str
    status: Literal["in_progress"] = "in_progress"
    attempt: int
    storage_config: str
    provider: str
    observation: str | None
    frame: str
    content: str
    destination_path: str
    bytes_total: int
    bytes_sent: int


class Sent(msgspec.Struct, frozen=True):
    """What a worker says while it carries a transfer."""

    transfer: str
    attempt: int
    bytes_sent: int
    bytes_total: int


def progress_of(sent: Sent, request: TransferRequested, at: datetime) -> Progress:
    """What a worker said, in the words of the news."""
    return Progress(
        at=at,
        transfer=sent.transfer,
        attempt=sent.attempt,
        storage_config=request.storage_config,
        provider=request.provider,
        observation=request.observation,
        frame=request.frame,
        content=request.content,
        destination_path=request.destination_path,
        bytes_total=sent.bytes_total,
        bytes_sent=sent.bytes_sent,
    )


def news_of(recorded: Recorded, request: TransferRequested) -> News:
    """The news in an event of TOPICS; `request` is the first event of its stream. The same event gives the same news,
    whenever it is read."""
    return News(
        position=recorded.position,
        at=recorded.at,
        event=recorded.event.topic,
        transfer=recorded.stream.removeprefix(transfers.stream_of("")),
        status=STATUSES[type(recorded.event)],
        held=isinstance(recorded.event, TransferHeld),
        storage_config=request.storage_config,
        provider=request.provider,
        observation=request.observation,
        frame=request.frame,
        content=request.content,
        **_details(recorded.event, request),
    )


def _details(event: Event, request: TransferRequested) -> dict[str, Any]:
    usual = {"destination_path": request.destination_path, "bytes_total": request.size}
    match event:
        case TransferStarted():
            return {**usual, "attempt": event.attempt}
        case TransferCheckpointed():
            return {**usual, "attempt": event.attempt, "bytes_sent": event.bytes_sent}
        case TransferCompleted():
            return {
                "destination_path": event.destination_path,
                "bytes_total": event.bytes_sent,
                "bytes_sent": event.bytes_sent,
                "attempt": event.attempt,
            }
        case TransferAttemptFailed():
            again = event.next_attempt_at
            return {**usual, "attempt": event.attempt, "error": event.reason, "next_attempt_at": again}
        case TransferFailed():
            return {**usual, "attempt": event.attempt, "error": event.reason}
        case TransferInterrupted():
            return {**usual, "attempt": event.attempt}
        case TransferChecked():
            return {**usual, "error": None if event.outcome == "verified" else event.reason}
        case TransferHeld() | TransferCancelled():
            return {**usual, "error": event.reason}
        case _:
            return usual
