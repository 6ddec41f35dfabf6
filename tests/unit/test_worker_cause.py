"""A worker's events belong to who asked last, and name the newest event as their cause."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pytest

from application.worker_cause import worker_cause
from domain.event import Cause, Event, Recorded
from domain.storage_configs import StorageConfigPaused
from domain.transfer_events import (
    TransferCheckRequested,
    TransferHeld,
    TransferInterrupted,
    TransferReleased,
    TransferRequested,
    TransferRetried,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def some(kind: type[Event]) -> Any:
    """An event of which only the type matters."""
    return mock.Mock(spec=kind)


def history(*told: tuple[type[Event], str]) -> list[Recorded]:
    return [
        Recorded("transfer:v1-cfg", number, number * 10, NOW, Cause("x", "api", correlation), some(kind))
        for number, (kind, correlation) in enumerate(told, start=1)
    ]


@pytest.mark.parametrize(
    ("told", "correlation"),
    [
        ([(TransferRequested, "first")], "first"),
        ([(TransferRequested, "first"), (TransferHeld, "w"), (TransferReleased, "authorized")], "first"),
        ([(TransferRequested, "first"), (TransferInterrupted, "")], "first"),
        ([(TransferRequested, "first"), (TransferRetried, "again"), (TransferInterrupted, "")], "again"),
        ([(TransferRequested, "first"), (TransferRetried, "again"), (TransferCheckRequested, "check")], "check"),
        ([(StorageConfigPaused, "a"), (StorageConfigPaused, "b")], "b"),
    ],
)
def test_who_asked_last_and_what_came_last(told: list[tuple[type[Event], str]], correlation: str) -> None:
    cause = worker_cause("w1")(history(*told))
    assert cause == Cause("w1", "worker", correlation=correlation, causation=len(told) * 10)


def test_nothing_is_known_of_an_empty_stream() -> None:
    assert worker_cause("w1")([]) == Cause("w1", "worker")
