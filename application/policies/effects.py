"""What follows from events outside the log: nudges to the workers. They may be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from application.ports.event_log import EventLog
from application.ports.jobs import Jobs
from application.transfer_requests import requests_of
from domain.event import Recorded
from domain.transfer_events import (
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

    def __init__(self, jobs: Jobs, log: EventLog) -> None:
        self._jobs = jobs
        self._log = log

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
        self._jobs.nudge(due, self._sizes(batch))

    def _sizes(self, batch: Sequence[Recorded]) -> dict[str, int]:
        """Of files that are to be sent. A copy that is to be checked is looked at alone."""
        checks = (TransferCheckRequested, TransferCheckFailed)
        requests = {one.stream: one.event for one in batch if isinstance(one.event, TransferRequested)}
        others = [one for one in batch if one.stream not in requests and not isinstance(one.event, checks)]
        if others:
            requests |= requests_of(self._log, others)
        return {request.id: request.size for request in requests.values() if request.size is not None}
