"""How a policy or effect is carried along the log: its position moves with its effects, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.policies.policy import commit_of, with_claims
from application.policies.runner import TRIES, PolicyRunner
from application.ports.event_log import Commit
from domain.errors import AlreadyExists, Conflict, NotAllowedNow, RetryLater, StreamConflict
from domain.event import Recorded
from domain.transfer_events import TransferCancelled, TransferHeld, TransferReleased
from tests.fakes.clock import StillClock
from tests.fakes.jobs import ListedDeadLetters
from tests.fakes.samples import record

SEEN = TransferReleased()


class Echo:
    """Writes one event into `echo:<stream>` for each event of its topic; `refuse` may raise for some."""

    name = "Echo"
    topics = frozenset({TransferHeld.topic})

    def __init__(self, log: MemoryEventLog, refuse: Callable[[Recorded], None] = lambda _: None) -> None:
        self._log = log
        self._refuse = refuse
        self.calls = 0

    def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:
        self.calls += 1
        commits = []
        for recorded in batch:
            assert recorded.event.topic in self.topics
            self._refuse(recorded)
            stream = f"echo:{recorded.stream}"
            if not self._log.load(stream):
                commits.append(commit_of(self.name, recorded, stream, 0, SEEN, now=now))
        return commits


class Effectful:
    """Notes what it was asked to do; `refuse` may raise for some."""

    name = "Effectful"
    topics = frozenset({TransferHeld.topic})

    def __init__(self, refuse: Callable[[Recorded], None] = lambda _: None) -> None:
        self._refuse = refuse
        self.done: list[str] = []

    def act(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            self._refuse(recorded)
        self.done += [recorded.stream for recorded in batch]


def refusing(stream: str, error: Exception) -> Callable[[Recorded], None]:
    def refuse(recorded: Recorded) -> None:
        if recorded.stream == stream:
            raise error

    return refuse


@pytest.fixture
def log() -> MemoryEventLog:
    log = MemoryEventLog()
    for name in ("a", "b", "c"):
        record(log, f"t:{name}", TransferHeld(reason="r"))
    return log


@pytest.fixture
def dead() -> ListedDeadLetters:
    return ListedDeadLetters()


def advance(runner: PolicyRunner, log: MemoryEventLog) -> None:
    batch = log.read(runner.position, 500)
    runner.advance(batch.events, batch.upto)


def echoed(log: MemoryEventLog) -> list[str]:
    return [name for name in ("a", "b", "c") if log.load(f"echo:t:{name}")]


def test_the_checkpoint_moves_with_the_effects(log: MemoryEventLog, dead: ListedDeadLetters) -> None:
    runner = PolicyRunner(Echo(log), log, StillClock(), dead)
    assert runner.position == 0
    advance(runner, log)
    assert echoed(log) == ["a", "b", "c"]
    assert runner.position == log.checkpoint("policy:Echo") == 3


def test_a_new_runner_goes_on_where_the_last_one_stood(log: MemoryEventLog, dead: ListedDeadLetters) -> None:
    advance(PolicyRunner(Echo(log), log, StillClock(), dead), log)
    policy = Echo(log)
    runner = PolicyRunner(policy, log, StillClock(), dead)
    assert runner.position == 3
    advance(runner, log)
    assert policy.calls == 0, "its own events are of another topic"


def test_effects_and_checkpoint_are_stored_together_or_not_at_all(
    log: MemoryEventLog, dead: ListedDeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = PolicyRunner(Echo(log), log, StillClock(), dead)

    def away(*_: object) -> None:
        raise RetryLater("The database can't be reached.")

    with monkeypatch.context() as patched:
        patched.setattr(log, "append_tracked", away)
        with pytest.raises(RetryLater):
            advance(runner, log)
    assert (runner.position, echoed(log), dead.letters) == (0, [], [])
    advance(runner, log)
    assert echoed(log) == ["a", "b", "c"]


def test_stretches_without_own_events_move_the_checkpoint_now_and_then(dead: ListedDeadLetters) -> None:
    log = MemoryEventLog()
    runner = PolicyRunner(Echo(log), log, StillClock(), dead)
    runner.advance([], 999)
    assert (runner.position, log.checkpoint("policy:Echo")) == (999, 0)
    runner.advance([], 1000)
    assert (runner.position, log.checkpoint("policy:Echo")) == (1000, 1000)


@pytest.mark.parametrize("error", [ZeroDivisionError("bug"), NotAllowedNow("No."), Conflict("No.")])
def test_an_event_that_cannot_be_handled_is_set_aside_and_the_others_are_handled(
    log: MemoryEventLog, dead: ListedDeadLetters, error: Exception
) -> None:
    runner = PolicyRunner(Echo(log, refusing("t:b", error)), log, StillClock(), dead)
    advance(runner, log)
    assert echoed(log) == ["a", "c"]
    assert dead.letters == [("policy:Echo", 2)]
    assert runner.position == log.checkpoint("policy:Echo") == 3


def test_a_single_event_that_cannot_be_handled_does_not_stop_the_runner(dead: ListedDeadLetters) -> None:
    log = MemoryEventLog()
    record(log, "t:b", TransferHeld(reason="r"), TransferCancelled(reason="r"))
    runner = PolicyRunner(Echo(log, refusing("t:b", ValueError())), log, StillClock(), dead)
    advance(runner, log)
    assert dead.letters == [("policy:Echo", 1)]
    assert runner.position == log.checkpoint("policy:Echo") == 2


def test_retry_later_keeps_the_position(log: MemoryEventLog, dead: ListedDeadLetters) -> None:
    runner = PolicyRunner(Echo(log, refusing("t:b", RetryLater("Behind."))), log, StillClock(), dead)
    with pytest.raises(RetryLater):
        advance(runner, log)
    assert (runner.position, log.checkpoint("policy:Echo"), echoed(log), dead.letters) == (0, 0, [], [])


def test_after_a_bad_event_retry_later_keeps_what_was_handled_before_it(
    log: MemoryEventLog, dead: ListedDeadLetters
) -> None:
    later = True

    def refuse(recorded: Recorded) -> None:
        if recorded.stream == "t:a":
            raise ValueError
        if recorded.stream == "t:c" and later:
            raise RetryLater("Behind.")

    runner = PolicyRunner(Echo(log, refuse), log, StillClock(), dead)
    batch = log.read(0, 500)
    with pytest.raises(RetryLater):
        runner.advance(batch.events, batch.upto)
    assert (runner.position, echoed(log)) == (2, ["b"])
    later = False
    runner.advance(batch.events, batch.upto)
    assert (runner.position, echoed(log)) == (3, ["b", "c"])
    assert dead.letters == [("policy:Echo", 1)]


def test_seeing_the_log_again_from_an_older_checkpoint_changes_nothing(
    log: MemoryEventLog, dead: ListedDeadLetters
) -> None:
    advance(PolicyRunner(Echo(log), log, StillClock(), dead), log)
    again = Echo(log)
    again.name = "Restored"
    head = log.head()
    advance(PolicyRunner(again, log, StillClock(), dead), log)
    assert again.calls == 1
    assert log.head() == head


def test_when_somebody_was_faster_the_policy_decides_again(log: MemoryEventLog, dead: ListedDeadLetters) -> None:
    def meddle(recorded: Recorded) -> None:
        if recorded.stream == "t:c" and policy.calls == 1:
            record(log, "echo:t:a", SEEN)

    class Late(Echo):
        def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:
            return super().react(batch, taken, now)

    policy = Late(log, meddle)
    runner = PolicyRunner(policy, log, StillClock(), dead)
    advance(runner, log)
    assert policy.calls == 2
    assert [len(log.load(f"echo:t:{name}")) for name in ("a", "b", "c")] == [1, 1, 1]


def test_a_policy_learns_which_names_were_taken(log: MemoryEventLog, dead: ListedDeadLetters) -> None:
    record(log, "other:1", SEEN, claims=["path:x"])

    class Claiming(Echo):
        def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:
            name = "path:y" if "path:x" in taken else "path:x"
            first, *others = super().react(batch, taken, now)
            return [with_claims(first, name), *others]

    runner = PolicyRunner(Claiming(log), log, StillClock(), dead)
    advance(runner, log)
    assert log.claimed(["path:y"]) == {"path:y"}
    assert runner.position == log.checkpoint("policy:Echo")


@pytest.mark.parametrize("error", [StreamConflict("Moved on."), AlreadyExists("Taken.", taken=("x",))])
def test_a_policy_that_always_meets_other_writers_comes_back_later(
    log: MemoryEventLog, dead: ListedDeadLetters, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    policy = Echo(log)
    runner = PolicyRunner(policy, log, StillClock(), dead)

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(log, "append_tracked", refuse)
    with pytest.raises(RetryLater, match="Echo"):
        advance(runner, log)
    assert (policy.calls, runner.position, dead.letters) == (TRIES, 0, [])


def test_a_runner_that_another_process_has_overtaken_sets_nothing_aside(
    log: MemoryEventLog, dead: ListedDeadLetters
) -> None:
    slow = PolicyRunner(Echo(log), log, StillClock(), dead)
    batch = log.read(0, 500)
    advance(PolicyRunner(Echo(log), log, StillClock(), dead), log)
    slow.advance(batch.events, batch.upto)
    assert dead.letters == []
    assert slow.position == 3
    assert [len(log.load(f"echo:t:{name}")) for name in ("a", "b", "c")] == [1, 1, 1]
    record(log, "t:d", TransferHeld(reason="r"))
    advance(slow, log)
    assert len(log.load("echo:t:d")) == 1


def test_an_effect_acts_on_its_own_events_only_and_remembers(log: MemoryEventLog, dead: ListedDeadLetters) -> None:
    record(log, "t:d", TransferReleased())
    effect = Effectful()
    runner = PolicyRunner(effect, log, StillClock(), dead)
    advance(runner, log)
    assert effect.done == ["t:a", "t:b", "t:c"]
    assert log.checkpoint("policy:Effectful") == 4
    advance(runner, log)
    assert effect.done == ["t:a", "t:b", "t:c"]


def test_a_failing_effect_is_set_aside_alone(log: MemoryEventLog, dead: ListedDeadLetters) -> None:
    effect = Effectful(refusing("t:b", OSError("disk")))
    advance(PolicyRunner(effect, log, StillClock(), dead), log)
    assert effect.done == ["t:a", "t:c"]
    assert dead.letters == [("policy:Effectful", 2)]


def test_an_effect_that_must_wait_keeps_its_position(log: MemoryEventLog, dead: ListedDeadLetters) -> None:
    runner = PolicyRunner(Effectful(refusing("t:b", RetryLater("Full."))), log, StillClock(), dead)
    with pytest.raises(RetryLater):
        advance(runner, log)
    assert (runner.position, log.checkpoint("policy:Effectful")) == (0, 0)


def test_an_overtaken_effect_sets_nothing_aside(log: MemoryEventLog, dead: ListedDeadLetters) -> None:
    slow = PolicyRunner(Effectful(), log, StillClock(), dead)
    advance(PolicyRunner(Effectful(), log, StillClock(), dead), log)
    advance(slow, log)
    assert (dead.letters, slow.position) == ([], 3)
