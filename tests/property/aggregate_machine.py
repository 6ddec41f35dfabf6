"""What the state machines of all aggregates have in common: a log, and how a command is given to it.

A machine keeps beside the log a model of what a person would write on a sheet of paper, and says before each command
whether it is refused (and how) or changes something. What is stored goes through the stored form of events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine, invariant

from adapters.event_store.memory import MemoryEventLog
from application.ports.event_log import Commit
from domain.errors import StarferryError
from domain.event import Cause, Event
from tests.fakes.clock import StillClock
from tests.property.effort import searching

CAUSE = Cause(actor="test", via="api")


class RememberingLog(MemoryEventLog):
    """Knows the events by stream as they were handed in, before they were encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.handed_in: dict[str, list[Event]] = {}

    def append(self, commit: Commit) -> int:
        """See EventLog.append."""
        position = super().append(commit)
        self._remember([commit])
        return position

    def append_tracked(self, commits: Sequence[Commit], consumer: str, position: int) -> None:
        """See EventLog.append_tracked."""
        super().append_tracked(commits, consumer, position)
        self._remember(commits)

    def _remember(self, commits: Sequence[Commit]) -> None:
        for commit in commits:
            for write in commit.writes:
                self.handed_in.setdefault(write.stream, []).extend(write.events)


class AggregateMachine(RuleBasedStateMachine):
    """`aggregate` is the domain's module, whose streams begin with `prefix`."""

    aggregate: ClassVar[ModuleType]
    prefix: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.log = RememberingLog()
        self.clock = StillClock()
        self._evolved: dict[str, Any] = {}
        self._seen: dict[str, int] = {}

    def command(
        self,
        act: Callable[[], object],
        *,
        refused: type[StarferryError] | None = None,
        changes: bool = True,
        again: type[StarferryError] | bool = False,
    ) -> bool:
        """Give a command and return whether it was obeyed.

        `refused` is how the model says no; nothing may be stored then. Otherwise something is stored exactly if the
        model says that it `changes` anything. Given a second time it stores nothing; or it is refused, where `again` is
        how; or, where that is true, it is no repetition but the same thing done twice, which isn't tried.
        """
        before = self.log.head()
        answer = _answer(act)
        if refused is not None:
            assert answer is refused, f"{answer} instead of {refused}"
            assert self.log.head() == before, "a refused command stored something"
            return False
        assert answer is None, f"refused with {answer}"
        assert (self.log.head() > before) is changes
        if again is not True:
            after = self.log.head()
            assert _answer(act) is (again or None), "a repeated command"
            assert self.log.head() == after, "a repeated command stored something"
        return True

    def state(self, name: str) -> Any:
        """An aggregate as the log has it."""
        return self.aggregate.fold(self.log.load(self.aggregate.stream_of(name)))

    @invariant()
    def events_come_back_as_they_were_handed_in(self) -> None:
        for stream, events in self.log.handed_in.items():
            history = self.log.load(stream)
            assert [recorded.event for recorded in history] == events
            assert [recorded.version for recorded in history] == list(range(1, len(events) + 1))

    @invariant()
    def one_event_after_the_other_gives_what_all_together_do(self) -> None:
        if not hasattr(self.aggregate, "evolve"):
            return
        for stream in self.log.handed_in:
            if not stream.startswith(self.prefix):
                continue
            history = self.log.load(stream)
            state = self._evolved.get(stream, self.aggregate.fold(()))
            for recorded in history[self._seen.get(stream, 0) :]:
                state = self.aggregate.evolve(state, recorded)
            self._evolved[stream], self._seen[stream] = state, len(history)
            assert state == self.aggregate.fold(history)
            assert state.stream_version == len(history)


def _answer(act: Callable[[], object]) -> type[StarferryError] | None:
    try:
        act()
    except StarferryError as error:
        return type(error)
    return None


FEW = searching(12, 20)
"""How often a machine of one aggregate runs, and how many commands it gives each time."""
