"""All policies of a process, driven along one log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest
import structlog

from adapters.event_store.memory import MemoryEventLog
from application.policies import engine as engine_module
from application.policies.engine import PolicyEngine
from application.policies.runner import PolicyRunner
from application.ports.event_log import Commit
from domain.errors import RetryLater
from domain.event import Recorded
from domain.transfer_events import TransferHeld, TransferReleased
from tests.fakes.clock import StillClock
from tests.fakes.jobs import ListedDeadLetters
from tests.fakes.samples import record


class Watcher:
    """Sees events; raises `trouble` while there is one."""

    topics = frozenset({TransferHeld.topic})

    def __init__(self, name: str, trouble: Exception | None = None) -> None:
        self.name = name
        self.trouble = trouble
        self.seen: list[int] = []

    def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:
        if self.trouble:
            raise self.trouble
        self.seen += [recorded.position for recorded in batch]
        return []


class BrokenLetters:
    """Dead letters that can't be written."""

    def put(self, consumer: str, recorded: Recorded) -> None:
        raise OSError("disk")


@pytest.fixture
def log() -> MemoryEventLog:
    log = MemoryEventLog()
    for _ in range(3):
        record(log, "t:a", TransferHeld(reason="r"), TransferReleased())
    return log


def driving(log: MemoryEventLog, *watchers: Watcher) -> PolicyEngine:
    return PolicyEngine([PolicyRunner(one, log, StillClock(), ListedDeadLetters()) for one in watchers], log)


def test_all_policies_see_all_their_events_in_order(log: MemoryEventLog) -> None:
    one, two = Watcher("One"), Watcher("Two")
    engine = driving(log, one, two)
    while engine.step():
        pass
    assert one.seen == two.seen == [1, 3, 5]
    assert engine.positions() == {"One": 6, "Two": 6}
    assert engine.step() is False


def test_a_policy_that_waits_does_not_hold_up_the_others(log: MemoryEventLog) -> None:
    stuck, well = Watcher("Stuck", RetryLater("Behind.")), Watcher("Well")
    engine = driving(log, stuck, well)
    engine.step()
    record(log, "t:b", TransferHeld(reason="r"))
    engine.step()
    assert well.seen == [1, 3, 5, 7]
    assert engine.positions() == {"Stuck": 0, "Well": 7}


def test_a_policy_that_waited_catches_up(log: MemoryEventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "RETRY_SECONDS", 0.0)
    stuck, well = Watcher("Stuck", RetryLater("Behind.")), Watcher("Well")
    engine = driving(log, stuck, well)
    engine.step()
    stuck.trouble = None
    while engine.step():
        pass
    assert stuck.seen == [1, 3, 5]
    assert engine.positions() == {"Stuck": 6, "Well": 6}


def test_e06_an_outage_is_logged_once_and_its_end_once_and_the_wait_is_as_long_as_was_asked_for(
    log: MemoryEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "RETRY_SECONDS", 0.0)
    stuck = Watcher("Stuck", RetryLater("Away."))
    engine = driving(log, stuck)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            engine.step()
        stuck.trouble = RetryLater("Away.", retry_after=3600.0)
        engine.step()
        stuck.trouble = None
        engine.step()
        assert stuck.seen == [], "an hour hasn't passed"
        engine._not_before.clear()
        engine.step()
    assert [line["event"] for line in lines] == ["policy waits", "policy goes on"]
    assert stuck.seen == [1, 3, 5]


def test_a_bug_in_one_policys_surroundings_does_not_end_the_others(log: MemoryEventLog) -> None:
    broken, well = Watcher("Broken", ValueError("bug")), Watcher("Well")
    runners = [
        PolicyRunner(broken, log, StillClock(), BrokenLetters()),
        PolicyRunner(well, log, StillClock(), ListedDeadLetters()),
    ]
    engine = PolicyEngine(runners, log)
    engine.step()
    assert well.seen == [1, 3, 5]
    assert engine.positions()["Broken"] == 0


def test_a_log_that_cannot_be_read_is_tried_again_later(log: MemoryEventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher("One")
    engine = driving(log, watcher)

    def away(*_: object, **__: object) -> None:
        raise RetryLater("The database can't be reached.")

    with monkeypatch.context() as patched:
        patched.setattr(log, "read", away)
        assert engine.step() is False
    engine.step()
    assert watcher.seen == [1, 3, 5]


def test_the_engine_works_until_it_is_stopped(log: MemoryEventLog) -> None:
    class Stopping(Watcher):
        def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:
            engine.stop()
            return super().react(batch, taken, now)

    watcher = Stopping("One")
    engine = driving(log, watcher)
    engine.run()
    assert watcher.seen == [1, 3, 5]


def test_a_run_begins_where_another_process_has_come_to(log: MemoryEventLog) -> None:
    """A stand-by was started long before it takes over: what was done meanwhile isn't done again."""
    watcher = Watcher("One")
    standing_by = driving(log, watcher)
    leading = driving(log, Watcher("One"))
    while leading.step():
        pass
    record(log, "t:b", TransferHeld(reason="r"))

    def once() -> None:
        if watcher.seen:
            standing_by.stop()

    standing_by.run(once)
    assert watcher.seen == [7]


def test_a_run_ends_when_its_process_is_no_longer_the_one(log: MemoryEventLog) -> None:
    def lost() -> None:
        raise RetryLater("The session is gone.")

    watcher = Watcher("One")
    with pytest.raises(RetryLater, match="session is gone"):
        driving(log, watcher).run(lost)
    assert watcher.seen == []


def test_events_of_a_stream_gather_and_what_follows_a_silence_is_handled_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    begun: list[float] = []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    class Steps(PolicyEngine):
        def step(self) -> bool:
            begun.append(round(now[0] - 100, 6))
            now[0] += 0.001
            if len(begun) == 5:
                now[0] += 1.0  # nothing comes for a while
            if len(begun) == 7:
                self.stop()
            return True

    monkeypatch.setattr(engine_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(engine_module.time, "sleep", sleep)
    Steps([], MemoryEventLog()).run()
    assert begun == [0.0, 0.001, 0.08, 0.081, 0.16, 1.161, 1.162]
