"""The transfers read model: status, progress and reasons of every transfer."""

from __future__ import annotations

from collections.abc import Sequence

from domain.event import Recorded
from domain.transfer_events import (
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
    TransferRecordsExpired,
    TransferReleased,
    TransferRequested,
    TransferRetried,
    TransferStarted,
)
from projections.projection import Cursor

TABLES = """
CREATE TABLE transfer (
    id text PRIMARY KEY, number bigint NOT NULL, status text NOT NULL, held boolean NOT NULL,
    attempts int NOT NULL, failures int NOT NULL, bytes_sent bigint NOT NULL, bytes_total bigint,
    requested_at timestamptz NOT NULL, completed_at timestamptz, next_attempt_at timestamptz,
    storage_config text NOT NULL, provider text NOT NULL, observation text, frame text NOT NULL,
    frame_id int NOT NULL, version_id int NOT NULL, content text NOT NULL, owner text NOT NULL,
    destination_path text NOT NULL, error text NOT NULL, worker text NOT NULL, verified text NOT NULL,
    copy text NOT NULL DEFAULT '', checked_at timestamptz, checking boolean NOT NULL DEFAULT false,
    next_check_at timestamptz, check_reason text NOT NULL DEFAULT ''
);
CREATE TABLE delivered_copy (
    number bigint NOT NULL, version_id int NOT NULL, frame text NOT NULL, storage_config text NOT NULL,
    provider text NOT NULL, owner text NOT NULL, destination_path text NOT NULL
);
"""

INDEXES = """
CREATE INDEX transfer_number ON transfer (number DESC);
CREATE INDEX transfer_config ON transfer (storage_config, status, number DESC);
CREATE INDEX transfer_observation ON transfer (observation, number DESC);
CREATE INDEX transfer_owner ON transfer (owner, number DESC);
CREATE INDEX transfer_frame ON transfer (frame);
CREATE INDEX transfer_open ON transfer (status, held, next_attempt_at) WHERE status IN ('pending', 'in_progress');
CREATE INDEX transfer_completed ON transfer (completed_at) WHERE status = 'completed';
CREATE INDEX delivered_copy_frame ON delivered_copy (frame);
CREATE INDEX transfer_checking ON transfer (next_check_at) WHERE checking;
"""

EXPIRED = "status = 'completed' AND completed_at < %s AND NOT checking AND copy NOT IN ('missing', 'changed')"
"""Which rows TransferRecordsExpired means."""

_EXPIRE = f"""
WITH gone AS (DELETE FROM transfer WHERE {EXPIRED} RETURNING *)
INSERT INTO delivered_copy
SELECT number, version_id, frame, storage_config, provider, owner, destination_path FROM gone
""".encode()


class TransfersProjection:
    """See the module. `number` is the position of the request: newest first, and the cursor of lists.

    One that was cleared has the status `cleared` here and is in no list, until somebody retries it; to the aggregate it
    is still what it was, or cancelled with its destination. Of records that expired `delivered_copy` keeps where the
    copy is (S55).
    """

    name = "transfers"
    version = 1
    tables = TABLES
    indexes = INDEXES
    topics = frozenset(
        event.topic
        for event in (
            TransferRequested,
            TransferStarted,
            TransferCheckpointed,
            TransferCompleted,
            TransferAttemptFailed,
            TransferInterrupted,
            TransferFailed,
            TransferHeld,
            TransferReleased,
            TransferCancelled,
            TransferRetried,
            TransferCheckRequested,
            TransferChecked,
            TransferCheckFailed,
            TransferCleared,
            TransferRecordsExpired,
        )
    )

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """See Projection.apply."""
        for recorded in events:
            self._apply_one(cursor, recorded)

    def _apply_one(self, cursor: Cursor, recorded: Recorded) -> None:
        transfer = recorded.stream.removeprefix("transfer:")

        def change(assignments: str, *values: object) -> None:
            cursor.execute(
                f"UPDATE transfer SET {assignments} WHERE id = %s".encode(), (*values, transfer), prepare=True
            )

        match recorded.event:
            case TransferRequested() as event:
                _insert(cursor, recorded, event)
            case TransferStarted() as event:
                change(
                    "status = 'in_progress', attempts = %s, worker = %s, next_attempt_at = NULL",
                    event.attempt,
                    event.worker,
                )
            case TransferCheckpointed() as event:
                change("bytes_sent = %s", event.bytes_sent)
            case TransferCompleted() as event:
                change(
                    "status = 'completed', error = '', destination_path = %s, bytes_sent = %s, bytes_total = %s, "
                    "completed_at = %s, verified = %s",
                    event.destination_path,
                    event.bytes_sent,
                    event.bytes_sent,
                    recorded.at,
                    " ".join(f"{name}:{value}" for name, value in event.verified.items()),
                )
            case TransferAttemptFailed() as event:
                change(
                    "status = 'pending', failures = %s, next_attempt_at = %s, error = %s",
                    event.failures,
                    event.next_attempt_at,
                    event.reason,
                )
            case TransferInterrupted():
                change("status = 'pending', next_attempt_at = NULL")
            case TransferFailed() as event:
                change("status = 'failed', error = %s, next_attempt_at = NULL", event.reason)
            case TransferHeld() as event:
                change("status = 'pending', held = true, error = %s", event.reason)
            case TransferReleased():
                change("held = false, next_attempt_at = NULL")
            case TransferCancelled() as event:
                change(
                    "status = CASE status WHEN 'cleared' THEN status ELSE 'cancelled' END, held = false, error = %s, "
                    "next_attempt_at = NULL, checking = false, next_check_at = NULL",
                    event.reason,
                )
            case TransferRetried():
                change(
                    "status = 'pending', held = false, failures = 0, error = '', next_attempt_at = NULL, "
                    "completed_at = NULL, verified = '', copy = '', checked_at = NULL, checking = false, "
                    "next_check_at = NULL, check_reason = ''"
                )
            case TransferCleared():
                change("status = 'cleared'")
            case TransferRecordsExpired() as event:
                cursor.execute(_EXPIRE, (event.completed_before,))
            case TransferCheckRequested():
                change("checking = true, next_check_at = NULL")
            case TransferChecked() as event:
                change(
                    "copy = %s, checked_at = %s, checking = false, next_check_at = NULL, check_reason = %s",
                    event.outcome,
                    recorded.at,
                    event.reason,
                )
            case TransferCheckFailed() as event:
                change(
                    "checking = %s, next_check_at = %s, check_reason = %s",
                    event.next_check_at is not None,
                    event.next_check_at,
                    event.reason,
                )
            case _:
                pass


def _insert(cursor: Cursor, recorded: Recorded, event: TransferRequested) -> None:
    cursor.execute(
        "INSERT INTO transfer VALUES (%s, %s, 'pending', false, 0, 0, 0, %s, %s, NULL, NULL, %s, %s, %s, %s, %s, %s, "
        "%s, %s, %s, '', '', '') ON CONFLICT (id) DO NOTHING",
        (
            event.id,
            recorded.position,
            event.size,
            recorded.at,
            event.storage_config,
            event.provider,
            event.observation,
            event.frame,
            event.frame_id,
            event.version_id,
            event.content,
            event.owner,
            event.destination_path,
        ),
        prepare=True,
    )
