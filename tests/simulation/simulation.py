"""One simulation: a plan carried out on a simulated clock, then peace, then a look at what is left."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any
from unittest import mock

import msgspec
import structlog

from application import one_upload
from application.ports.event_log import Commit, Write
from domain import accounts, webhooks
from domain import storage_configs as storage_config_rules
from domain.accounts import AccountChanged, AccountCreated
from domain.errors import RetryLater, StarferryError
from domain.event import Event, Recorded
from domain.transfer_events import TransferCompleted
from tests.simulation.checks import Checks
from tests.simulation.faults import Faults, Wire
from tests.simulation.kernel import SECOND, Crash, Kernel, Process, Violation
from tests.simulation.people import PEOPLE, People, cause
from tests.simulation.plan import Plan
from tests.simulation.processes import HOOK, Ports, die, start
from tests.simulation.providers import CHUNK
from tests.simulation.queue import instant
from tests.simulation.state import World
from tests.simulation.weather import WEATHER, make_peace, strike
from tests.simulation.workload import make_steps

TICK = 150
"""Seconds between two sweeps of a worker, and after which a lost wake-up is made up for."""
TRIES = 12
"""How often somebody asks again who was told to."""
DAY = 86_400 * SECOND
ROUNDS = 300
"""Of sweeps until all must be quiet."""
BUGS = frozenset(
    (
        "policy failed and will be tried again",
        "attempt failed unexpectedly",
        "event set aside",
        "copy not checked for an unexpected error",
    )
)
"""What the program only logs when it has met an error that it doesn't know."""

Break = Callable[[World], Any]


class Outcome(msgspec.Struct, frozen=True):
    """What came of a simulation. `plan` has the faults that happened."""

    plan: Plan
    failure: str
    trace: tuple[str, ...]
    events: int
    seconds: float

    @property
    def digest(self) -> str:
        """Of the whole trace."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


class Simulation:
    """One world from its beginning to its end. `broken` may break a rule, to see that this is noticed."""

    def __init__(self, plan: Plan, broken: Break | None = None) -> None:
        self.plan = plan
        self.kernel = Kernel(plan.seed)
        self.world = World(self.kernel)
        self.faults = Faults(plan.seed, plan.faults)
        self.world.wire = Wire(self.kernel, self.faults, lambda task: die(self.world, task))
        self.checks = Checks(self.world)
        self.world.database.committed = self._committed
        self.world.ended = self._ended
        self._chance = Random(f"{plan.seed}/director")
        self._season = Random(f"{plan.seed}/season")
        self._at_once: dict[int, list[str]] = {}
        self._delivered = 0
        self._pending: Counter[str] = Counter()
        self._open = 0
        self._again: list[tuple[list[str], int]] = []
        self._down: dict[str, int] = {}
        self._broken = broken

    def run(self) -> Outcome:
        """Carry it out."""
        failure = ""
        with _quiet(self.kernel):
            try:
                self._run()
            except Violation as violation:
                failure = str(violation)
            except Exception as error:
                failure = f"{type(error).__name__}: {error}"
            finally:
                self.kernel.close()
        if failure:
            self.kernel.tell(f"VIOLATION {failure}")
        plan = self.plan
        if plan.faults is None:
            plan = msgspec.structs.replace(plan, faults=tuple(self.faults.happened))
        trace = tuple(self.kernel.trace())
        return Outcome(plan, failure, trace, len(self.world.database.events), self.kernel.now / SECOND)

    def _run(self) -> None:
        self._set_up()
        if self._broken is not None:
            self._broken(self.world)
        self.world.disk.removing = self.checks.removing
        self.world.forgets = self._season.random() < 0.5
        for name in ("api", "core", "w1", "w2"):
            start(self.world, name, self.kernel)
        moments: list[tuple[int, str]] = []
        for step in self.plan.steps:
            when, _, what = step.partition(" ")
            if when[0] == "^":
                self._at_once.setdefault(int(when[1:]), []).append(what)
            else:
                moments.append((int(when[1:]) * SECOND, what))
        end_of_day = max((when for when, _ in moments), default=0) + 60 * SECOND
        while moments or self.kernel.now < end_of_day:
            due = moments[0][0] if moments else end_of_day
            tick = (self.kernel.now // (TICK * SECOND) + 1) * TICK * SECOND
            self._go_to(min(due, tick))
            if self.kernel.now >= tick:
                self.kernel.notify(self.world.tick, 1000)
            while moments and moments[0][0] <= self.kernel.now:
                self._take(moments.pop(0)[1])
        make_peace(self.world)
        self.faults.on = False
        self.kernel.tell("PEACE")
        self._come_to_rest()
        self.checks.at_rest()
        self._mend()
        self._come_to_rest()
        self.checks.at_rest()
        self.checks.all_well()
        if self._season.random() < 0.3:
            self._let_a_season_pass()
            self._come_to_rest()
            self.checks.at_rest()

    def _go_to(self, when: int) -> None:
        self.kernel.run(when)
        self.kernel.now = max(self.kernel.now, when)

    def _set_up(self) -> None:
        memory, now = self.world.database.memory, self.kernel.time()
        for who, principal in PEOPLE.items():
            changed = AccountChanged(
                is_superuser=principal.is_superuser, is_staff=False, active=True, proposals=principal.proposals
            )
            events: tuple[Event, ...] = (AccountCreated(username=who), changed)
            memory.append(
                Commit(writes=(Write(accounts.stream_of(who), 0, events),), cause=cause(who, "set-up"), at=now)
            )
        hook = webhooks.WebhookCreated(id=HOOK, owner="root", name="hook", host="receiver", interests=("state",))
        memory.append(
            Commit(writes=(Write(webhooks.stream_of(HOOK), 0, (hook,)),), cause=cause("root", "set-up"), at=now)
        )
        self.world.sealed[HOOK] = {"url": "https://receiver/", "secret": "s"}
        self.world.database.learn()

    def _committed(self, recorded: Recorded) -> None:
        """An event is in the log. Some steps come just when a copy is there."""
        self.checks.committed(recorded)
        if isinstance(recorded.event, TransferCompleted):
            self._delivered += 1
            for what in self._at_once.pop(self._delivered, ()):
                moment = self._chance.randrange(1, int(SECOND * self._chance.choice((0.002, 0.05, 1.0))))
                self._keeper().spawn(f"step-{len(self.kernel.lines)}", partial(self._take, what, 100), moment)

    def _take(self, what: str, within: int = 2 * SECOND) -> None:
        words = what.split()
        self.kernel.tell(f"STEP {what}")
        if words[0] in WEATHER:
            strike(self.world, words, self._keeper().spawn, self._down)
        else:
            self._ask(words, TRIES, within)

    def _ask(self, words: list[str], tries: int, within: int = 2 * SECOND) -> None:
        """Somebody asks the API, and asks again when they are told to, or when nobody answers."""
        api = self.world.processes["api"]
        if not api.alive:
            self._again.append((words, tries))
            return
        self._open += 1
        self._pending[" ".join(words)] += 1
        request = f"r{sum(self._pending.values())}"
        people = People(Ports(self.world, api))

        def ask() -> None:
            answered = False
            left = tries
            try:
                while not answered and left:
                    left -= 1
                    try:
                        self.kernel.tell(f"{request} {words[0]} answered {people.do(words, request)}")
                        answered = True
                    except RetryLater as error:
                        self.kernel.tell(f"{request} asks again: {error}")
                        self.kernel.pause(int((1 + 8 * self.kernel.current.random.random()) * SECOND))
                    except StarferryError as error:
                        self.kernel.tell(f"{request} {words[0]} refused: {type(error).__name__} {error}")
                        answered = True
            except Crash:
                if left and not self.kernel.closing:
                    self._again.append((words, left))
                raise
            finally:
                self._open -= 1

        api.spawn(request, ask, 1 + self._chance.randrange(within))

    def _ended(self, process: Process) -> None:
        """A process has died: it is started again, and whom it left without an answer ask again."""
        if process.name == "rival" or self.kernel.closing:
            return
        down = self._down.pop(process.name, 0)
        wait = down or int((0.5 + 40 * Random(f"{self.plan.seed}/{process.identity}").random()) * SECOND)
        keeper = self._keeper()

        def revive() -> None:
            start(self.world, process.name, self.kernel)
            if process.name == "api":
                again, self._again[:] = list(self._again), []
                for words, left in again:
                    self._ask(words, left)

        keeper.spawn(f"revive-{process.identity}", revive, wait)

    def _keeper(self) -> Process:
        if "keeper" not in self.world.processes:
            self.world.processes["keeper"] = Process(self.kernel, "keeper", 0)
        return self.world.processes["keeper"]

    def _come_to_rest(self) -> None:
        """Let all go on, and time fly, until nothing happens any more however long one waits."""
        quiet = 0
        for _ in range(ROUNDS):
            before = self._state()
            self._settle()
            self.kernel.notify(self.world.tick, 1000)
            self._settle()
            if self._state() != before:
                quiet = 0
                continue
            quiet += 1
            if quiet < 2:
                continue
            moment = self._next_moment()
            if moment is None:
                return
            self.kernel.tell("time flies")
            self._go_to(max(self.kernel.now, moment) + 1000)
            quiet = 0
        raise Violation("it never becomes quiet")

    def _settle(self) -> None:
        """Until all wait for an event, or for longer than a minute."""
        for _ in range(400):
            following = self.kernel.next_at()
            if following is None or following > self.kernel.now + 100 * SECOND:
                return
            self._go_to(following + SECOND)
        raise Violation("somebody never waits")

    def _state(self) -> tuple[Any, ...]:
        world = self.world
        return (
            len(world.database.events), len(world.waiting.rows), len(world.notices.todo), len(world.sealed),
            sum(world.listeners.posted.values()), len(world.listeners.messages), self._open, sum(world.lives.values()),
            tuple(model.position for model in world.models.values()), len(world.noted),
            tuple(position for engine in world.engines.values() for position in engine.positions().values()),
        )  # fmt: skip

    def _next_moment(self) -> int | None:
        """The next time at which something may become due."""
        now = self.kernel.now
        moments = [at for at, _ in self.world.notices.todo]
        moments += [row.due_at for row in self.world.waiting.rows.values()]
        for transfer in self.checks.transfers.values():
            if transfer.status == "pending" and transfer.next_attempt_at:
                moments.append(instant(transfer.next_attempt_at))
            if transfer.checking and transfer.next_check_at:
                moments.append(instant(transfer.next_check_at))
        for config in self.checks.configs.values():
            if config.paused_until and not config.deleted:
                moments.append(instant(config.paused_until))
        moments += [instant(noted.due) for noted in self.world.noted.values() if noted.status == "waiting"]
        following = self.kernel.next_at()
        moments += [] if following is None else [following]
        return min((moment for moment in moments if moment >= now - 5 * SECOND), default=None)

    def _let_a_season_pass(self) -> None:
        """Until records expire, and old frames go where an operator wants that. Things break again meanwhile."""
        self.kernel.tell("A SEASON PASSES")
        self._go_to(self.kernel.now + 100 * DAY)
        self.faults.on = True
        for _ in range(3):
            self.kernel.notify(self.world.tick, 1000)
            self._go_to(self.kernel.now + 20 * SECOND)
        self.faults.on = False

    def _mend(self) -> None:
        """Owners authorize what was revoked, and have what failed tried again."""
        self.kernel.tell("OWNERS MEND")
        for name, config in sorted(self.checks.configs.items()):
            if not config.deleted:
                self._ask(["authorize", name], TRIES)
        self._come_to_rest()
        for name, config in sorted(self.checks.configs.items()):
            if not config.deleted:
                self._ask(["retryall", name], TRIES)


@contextmanager
def _quiet(kernel: Kernel) -> Iterator[None]:
    """Files are small here, so limits are too; and what the program logs is only looked through for its own bugs."""

    def look(_: Any, __: str, entry: Any) -> Any:
        if entry.get("event") in BUGS:
            kernel.fail(Violation(f"{entry['event']}: {entry}"))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[look], wrapper_class=structlog.BoundLogger, logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )  # fmt: skip
    try:
        with (
            mock.patch.object(one_upload, "CHECKPOINT_BYTES", 2 * CHUNK),
            mock.patch.object(storage_config_rules, "LEAST_BYTES_PER_SECOND", 1),
        ):
            yield
    finally:
        structlog.configure(**before)


def simulate(seed: int, broken: Break | None = None) -> Outcome:
    """What a seed leads to."""
    return Simulation(Plan(seed, make_steps(seed)), broken).run()


def replay(plan: Plan, broken: Break | None = None) -> Outcome:
    """The same with exactly the plan's steps and faults."""
    return Simulation(plan, broken).run()
