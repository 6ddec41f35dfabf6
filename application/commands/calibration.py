"""What the calibration pipeline tells of a raw frame (S61)."""

from __future__ import annotations

from application.permissions import Principal, must_be_superuser
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.transact import transact
from domain import frames
from domain.errors import NotFound
from domain.event import Cause, Event, Recorded
from domain.frames import CalibrationOutcome


def report_calibration(
    log: EventLog,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    basename: str,
    outcome: CalibrationOutcome,
    reason: str,
) -> int:
    """Record that no calibrated file will come. Raises NotFound, NotAllowedNow when one has come already."""
    must_be_superuser(principal)

    def decide(history: list[Recorded]) -> tuple[Event, ...]:
        frame = frames.fold(history)
        if not frame.exists:
            raise NotFound(f"There is no frame {basename}.")
        return frames.report_calibration_failure(frame, outcome, reason)

    return transact(
        log, frames.stream_of(basename), lambda history: decide(list(history)), cause=cause, now=clock.now()
    )
