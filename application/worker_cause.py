"""Who and why, for what a worker does: on account of the newest event, for the sake of the request that asked last."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from domain.event import Cause, Recorded
from domain.transfer_events import TransferCheckRequested, TransferRequested, TransferRetried

ASKING = (TransferRequested, TransferRetried, TransferCheckRequested)
"""What sets a worker to work on a transfer. A destination that works again only lets it go on: what follows still
belongs to the request that asked for the transfer."""


def worker_cause(worker: str) -> Callable[[Sequence[Recorded]], Cause]:
    """For `transact`: the cause of a worker's next event, from the stream's history."""

    def cause(history: Sequence[Recorded]) -> Cause:
        if not history:
            return Cause(actor=worker, via="worker")
        newest = history[-1]
        asked = next((one for one in reversed(history) if isinstance(one.event, ASKING)), newest)
        return Cause(actor=worker, via="worker", correlation=asked.cause.correlation, causation=newest.position)

    return cause
