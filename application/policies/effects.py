"""What follows from events outside the log: nudges to the workers. They may be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from application.ports.jobs import Jobs
from domain.event import Recorded
from domain.transfers import (
    TransferAttemptFailed,
    TransferCheckFailed,
    TransferCheckRequested,
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
        for event in (
            TransferRequested,
            TransferRetried,
            TransferReleased,
            TransferInterrupted,
            TransferAttemptFailed,
            TransferCheckRequested,
            TransferCheckFailed,
        )
    )

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def act(self, batch: Sequence[Recorded]) -> None:
        """See Effect.act."""
        due: list[tuple[str, datetime | None]] = []
        for recorded in batch:
            transfer = recorded.stream.removeprefix("transfer:")
            match recorded.event:
                case TransferAttemptFailed() as event:
                    due.append((transfer, event.next_attempt_at))
                case TransferCheckFailed() as event:
                    due += [(transfer, event.next_check_at)] if event.next_check_at else []
                case _:
                    due.append((transfer, None))
        self._jobs.nudge(due)
