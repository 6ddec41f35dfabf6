"""What follows from events outside the log: nudges to the workers. They may be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from application.ports.jobs import Jobs
from domain.event import Recorded
from domain.transfers import (
    TransferAttemptFailed,
    TransferInterrupted,
    TransferReleased,
    TransferRequested,
    TransferRetried,
)


class NudgeWorkers:
    """Whatever makes a transfer due wakes a worker, at once or when its wait is over."""

    name = "NudgeWorkers"
    topics = frozenset(
        event.topic
        for event in (TransferRequested, TransferRetried, TransferReleased, TransferInterrupted, TransferAttemptFailed)
    )

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def act(self, batch: Sequence[Recorded]) -> None:
        """See Effect.act."""
        due: list[tuple[str, datetime | None]] = []
        for recorded in batch:
            transfer = recorded.stream.removeprefix("transfer:")
            at = recorded.event.next_attempt_at if isinstance(recorded.event, TransferAttemptFailed) else None
            due.append((transfer, at))
        self._jobs.nudge(due)
