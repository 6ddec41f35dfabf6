"""The processes of the service, wired as api/bootstrap.py wires them, on simulated ports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from application.ferry import Ferry
from application.frame_matching import FrameMatcher
from application.policies.cancel_transfers_of_deleted_frames import CancelTransfersOfDeletedFrames
from application.policies.complete_calibrations import CompleteCalibrations
from application.policies.delete_when_all_delivered import DeleteWhenAllDelivered
from application.policies.deliver_standing_queries import DeliverStandingQueries
from application.policies.deliver_to_destinations import DeliverToDestinations
from application.policies.effects import NudgeWorkers
from application.policies.engine import PolicyEngine
from application.policies.follow_destination import FollowDestination
from application.policies.notify_webhooks import NotifyWebhooks
from application.policies.policy import Effect, Policy
from application.policies.publish_archived import BLOCK, PublishArchived
from application.policies.reconsider_deletions import ReconsiderDeletions
from application.policies.remove_deleted_files import RemoveDeletedFiles
from application.policies.runner import PolicyRunner
from application.retention import PeriodicRetention, Retention
from application.sweep import Sweep
from application.transfer_expiry import TransferExpiry
from application.upload_sessions import SessionCleaning
from application.webhook_post import WebhookPost
from domain.errors import RetryLater, StarferryError
from domain.retention import RetentionRule
from tests.simulation.carriers import Carriers
from tests.simulation.disk import SimReader, SimStore
from tests.simulation.kernel import SECOND, Crash, Kernel, Process, Task
from tests.simulation.log import SimLog
from tests.simulation.outside import SimBook, SimBroker, SimSender, SimSubscribers, SimVault
from tests.simulation.providers import SimDestinations
from tests.simulation.queue import Queue, SimJobs, SimLimits, SimWorkers
from tests.simulation.read_models import SimLookups, keep_up
from tests.simulation.state import World

T = TypeVar("T")
CARRIERS = 3
"""As many as may be under way at once with so many places and a few destinations."""
PLACES = 4
HOOK = "hook-1"


class SimClock:
    """Implements Clock for one process: its host's clock may be wrong."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name

    def now(self) -> datetime:
        """See Clock.now."""
        return self._world.kernel.time(self._world.clocks.get(self._name, 0))


class SimNumbers:
    """Implements Numbers."""

    def __init__(self, world: World) -> None:
        self._world = world

    def take(self) -> int:
        """See Numbers."""

        def take() -> int:
            self._world.number += 1
            return self._world.number

        return self._world.wire.call("lookup", "number", take)


class Ports:
    """What one process has of everything."""

    def __init__(self, world: World, process: Process) -> None:
        wire = world.wire
        self.world, self.process = world, process
        self.log = SimLog(world.database, wire)
        self.clock = SimClock(world, process.name)
        self.numbers = SimNumbers(world)
        self.store = SimStore(world.disk, wire)
        self.reader = SimReader(world.disk)
        self.vault = SimVault(world.sealed, wire)
        self.jobs = SimJobs(wire, world.waiting, world.knocks, world.notices)
        self.limits = SimLimits(wire, world.places, world.waiting, world.knocks, process, PLACES)
        self.matcher = FrameMatcher(_NoSky())  # type: ignore[arg-type]
        self.lookups = SimLookups(wire, world.models, self.matcher, world.waiting.rows, world.sealed)
        self.workers = SimWorkers(wire, world.locks)
        self.destinations = SimDestinations(world.far, wire)
        self.book = SimBook(world.noted, world.notices.todo, wire)

    def post(self) -> WebhookPost:
        """What sends webhooks."""
        return WebhookPost(
            log=self.log,
            vault=self.vault,
            book=self.book,
            sender=SimSender(self.world.listeners, self.world.wire),
            jobs=self.jobs,
            clock=self.clock,
            schedule=(60.0, 300.0, 1800.0, 7200.0, 21600.0, 43200.0),
        )


class _NoSky:
    """Nobody asks for places on the sky here."""


def start_core(world: World, process: Process) -> None:
    """Read models, policies, outbox and notices: `starferry projections`."""
    ports = Ports(world, process)
    kernel = world.kernel
    process.spawn("models", lambda: keep_up(kernel, ports.log, world.models, world.database))
    process.spawn("policies", lambda: drive(world, ports, policies(ports), led=True))
    process.spawn(
        "outbox",
        lambda: drive(world, ports, [PublishArchived(SimBroker(world.listeners, world.wire), "string")], BLOCK),
    )
    notify = NotifyWebhooks(ports.log, SimSubscribers(HOOK), ports.book, ports.jobs, ports.clock)
    process.spawn("notices", lambda: drive(world, ports, [notify]))


def start_rival(world: World, process: Process) -> None:
    """A second process that drives the policies: the lock of the first was lost, and it may not know yet."""
    world.rival = process
    ports = Ports(world, process)
    process.spawn("policies", lambda: drive(world, ports, policies(ports), led=True))


def policies(ports: Ports) -> list[Policy | Effect]:
    """As in api/bootstrap.py."""
    log, lookups = ports.log, ports.lookups
    return [
        DeliverToDestinations(log, lookups),
        CompleteCalibrations(log, lookups),
        DeliverStandingQueries(log, ports.matcher),
        DeleteWhenAllDelivered(log),
        ReconsiderDeletions(log, lookups, ports.clock),
        FollowDestination(log, lookups),
        NudgeWorkers(ports.jobs, ports.log),
        RemoveDeletedFiles(ports.store, log, ports.clock),
        CancelTransfersOfDeletedFrames(log, lookups),
    ]


def drive(world: World, ports: Ports, consumers: list[Policy | Effect], batch: int = 500, *, led: bool = False) -> None:
    """Drive policies for ever, as their process does. Those that are `led` have a lock, which a rival may take over."""
    kernel = world.kernel
    task = kernel.current
    runners = _insist(kernel, lambda: [PolicyRunner(one, ports.log, ports.clock, ports.log) for one in consumers])
    engine = PolicyEngine(
        runners, ports.log, batch=1 + int(task.random.random() * batch), elapsed=lambda: kernel.now / SECOND
    )
    world.engines[task.name] = engine
    unaware = not led or task.random.random() < 0.5  # goes on with a lost lock for longer than the real does
    while True:
        if not unaware and _led_by_another(world, task.process):
            kernel.tell("stands by")
            while _led_by_another(world, task.process):
                kernel.wait(world.led)
            for runner in runners:
                _insist(kernel, runner.resume)
        known = len(world.database.events)
        if not engine.step():
            soon = any(position < known for position in engine.positions().values())
            world.database.wait(kernel, known, soon=soon)


def _led_by_another(world: World, process: Process) -> bool:
    return world.rival is not None and world.rival.alive and world.rival is not process


def _insist(kernel: Kernel, do: Callable[[], T]) -> T:
    while True:
        try:
            return do()
        except RetryLater:
            kernel.pause(SECOND)


def start_worker(world: World, process: Process) -> None:
    """Carriers, and what sweeps: `starferry worker`."""
    ports = Ports(world, process)
    world.locks.add(process.identity)
    ferry = Ferry(
        log=ports.log,
        store=ports.store,
        vault=ports.vault,
        clock=ports.clock,
        open_destination=ports.destinations,
        limits=ports.limits,
        hash_file=lambda _: (_ for _ in ()).throw(AssertionError("the hashes are known")),
        worker=process.identity,
        wait=lambda seconds: world.kernel.pause(int(seconds * SECOND)),
    )
    post = ports.post()
    sweep = Sweep(log=ports.log, lookup=ports.lookups, workers=ports.workers, jobs=ports.jobs, clock=ports.clock)
    rules = [RetentionRule(name="old", days=30, types=("EXPOSE",))] if world.forgets else []
    retention = PeriodicRetention(
        Retention(log=ports.log, finder=ports.lookups, clock=ports.clock, rules=rules),
        lambda do: alone(world, do),
        world.new_correlation,
    )
    expiry = TransferExpiry(
        log=ports.log, lookup=ports.lookups, clock=ports.clock, days=90, new_correlation=world.new_correlation
    )
    sessions = SessionCleaning(
        log=ports.log, lookup=ports.lookups, vault=ports.vault, open_destination=ports.destinations
    )

    def sweep_now() -> None:
        ferry.settle()
        if world.sweeps:
            sweep.run()
        retention.run()
        expiry.run()
        post.sweep()
        sessions.run()

    world.limits[process.identity] = ports.limits
    carriers = world.knocks.carriers[process.identity] = Carriers(world.kernel, world.waiting, ferry)
    carriers.knock()
    for number in range(CARRIERS):
        process.spawn(f"carry{number}", carriers.work)
    process.spawn("send", lambda: work(world, world.notices, post.deliver))
    process.spawn("sweep", lambda: again_and_again(world, sweep_now))


def work(world: World, queue: Queue, do: Callable[[str], None]) -> None:
    """Take jobs and do them, for ever. A job that fails is gone."""
    kernel = world.kernel
    while True:
        name = queue.take(kernel.now)
        if name is None:
            at = queue.next_at()
            kernel.wait(queue.changed, None if at is None else max(0, at - kernel.now))
            continue
        kernel.tell(f"job {name}")
        queue.doing[name] += 1
        try:
            do(name)
        except StarferryError as error:
            kernel.tell(f"job {name} failed: {error}")
        finally:
            queue.doing[name] -= 1


def alone(world: World, do: Callable[[], int]) -> int:
    """Do it unless another worker is at it."""
    holder = world.retaining
    if holder is not None and holder.alive:
        return 0
    world.retaining = world.kernel.current.process
    try:
        return do()
    finally:
        if world.retaining is world.kernel.current.process:
            world.retaining = None


def again_and_again(world: World, do: Callable[[], object]) -> None:
    """What a worker does now and then: at its start, and at each tick."""
    while True:
        try:
            do()
        except StarferryError as error:
            world.kernel.tell(f"failed: {error}")
        world.kernel.wait(world.tick)


def die(world: World, task: Task) -> None:
    """The process of a task ends, and is started again a little later."""
    end(world, task.process)
    raise Crash


def end(world: World, process: Process) -> None:
    """A process is killed."""
    if not process.alive:
        return
    world.kernel.tell(f"{process.identity} is killed")
    world.kernel.kill(process)
    world.locks.discard(process.identity)
    world.places.lose(process.identity)
    world.limits.pop(process.identity, None)
    world.knocks.carriers.pop(process.identity, None)
    if process is world.rival:
        world.kernel.notify(world.led, 1000)
    for name in [name for name in world.engines if name.startswith(f"{process.identity}.")]:
        del world.engines[name]
    world.ended(process)


def start(world: World, name: str, kernel: Kernel) -> Process:
    """Begin a process's next life."""
    world.lives[name] += 1
    process = Process(kernel, name, world.lives[name])
    world.processes[name] = process
    kernel.tell(f"{process.identity} starts")
    if name == "core":
        start_core(world, process)
    elif name == "rival":
        start_rival(world, process)
    elif name != "api":
        start_worker(world, process)
    return process
