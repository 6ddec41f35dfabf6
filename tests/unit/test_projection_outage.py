"""While the database is away the read models wait: they neither spin nor fill the log."""

from __future__ import annotations

import threading
from typing import Any, NoReturn

import psycopg
import pytest
from structlog.testing import capture_logs

from adapters.event_store.memory import MemoryEventLog
from projections import runner


def test_an_outage_is_tried_again_after_a_pause_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0
    thrice = threading.Event()

    def refuse(*_: Any, **__: Any) -> NoReturn:
        nonlocal tries
        tries += 1
        if tries == 3:
            thrice.set()
        raise psycopg.OperationalError("connection refused\n")

    monkeypatch.setattr(runner, "RETRY_SECONDS", 0.001)
    projecting = runner.ProjectionRunner("", MemoryEventLog(), [], refuse)
    thread = threading.Thread(target=projecting.run)
    with capture_logs() as told:
        thread.start()
        assert thrice.wait(10)
        projecting.stop()
        thread.join(10)
    assert [line["event"] for line in told] == ["projections wait for the database"]
    assert told[0]["reason"] == "connection refused"


def test_being_woken_does_not_shorten_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0
    tried = threading.Event()

    def refuse(*_: Any, **__: Any) -> NoReturn:
        nonlocal tries
        tries += 1
        tried.set()
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(psycopg, "connect", refuse)
    monkeypatch.setattr(runner, "RETRY_SECONDS", 3600.0)
    projecting = runner.ProjectionRunner("", MemoryEventLog(), [])
    projecting.wake()
    thread = threading.Thread(target=projecting.run)
    thread.start()
    assert tried.wait(10)
    for _ in range(100):
        projecting.wake()
    projecting.stop()
    thread.join(10)
    assert tries == 1
