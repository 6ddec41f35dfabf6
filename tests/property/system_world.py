"""A whole Starferry on a database of its own that moves only when it is told to: no process, no thread, no real time.

Files, log, read models, jobs and vault are the real ones; destinations are in memory, and meet faults as told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import msgspec
import psycopg

from api.bootstrap import Core, open_core
from api.settings import Settings
from application.commands.ingest import Ingested, ingest_file
from application.policies.runner import PolicyRunner
from domain.errors import RetryLater
from domain.event import Cause, Recorded
from domain.storage_configs import Provider, StorageConfig
from projections.rebuild import rebuild
from tests.fakes.clock import StillClock
from tests.fakes.destination import ScriptedDestination
from tests.fakes.jobs import ListedDeadLetters, ListedJobs, NamedWorkers
from tests.fakes.limits import places_for
from tests.postgres import fresh_database

CAUSE = Cause(actor="root", via="api")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
"""Before the database's own time, by which it says what may be due; what really is, the clock that is told says."""


class WorkerDied(BaseException):
    """The worker's process ended here. No code catches it."""


class Places:
    """Implements OpenDestination: a place in memory for each configuration."""

    def __init__(self) -> None:
        self.of: dict[str, ScriptedDestination] = {}

    @contextmanager
    def __call__(self, config: StorageConfig, secrets: Mapping[str, str]) -> Iterator[ScriptedDestination]:
        """See OpenDestination."""
        yield self.of.setdefault(config.id, ScriptedDestination(chunk_size=4096))

    def check(self, provider: Provider, options: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        """See OpenDestination."""

    def holds(self, config: str, data: bytes) -> bool:
        """Whether this file is there, whole."""
        return config in self.of and data in self.of[config].objects.values()


class World:
    """What a machine moves. The template's read models must be there."""

    def __init__(self, cluster: str, template: str, folder: Path, stack: ExitStack) -> None:
        conninfo = stack.enter_context(fresh_database(cluster, template=template))
        settings = Settings({"DATABASE_URL": conninfo}, data=folder)
        stack.enter_context(mock.patch("projections.lookups.WAIT_SECONDS", 0.0))  # nobody else works meanwhile
        real = stack.enter_context(open_core(settings, conninfo))
        self.clock, self.jobs, self.places = StillClock(LONG_AGO), ListedJobs(), Places()
        self.dead_letters = ListedDeadLetters()
        self.core: Core = msgspec.structs.replace(real, clock=self.clock, jobs=self.jobs, destinations=self.places)
        self.log = self.core.log
        self.workers = 1
        self.connection = stack.enter_context(psycopg.connect(conninfo, autocommit=True))
        self.restart_policies()

    def restart_policies(self) -> None:
        """As after a crash: they go on from what they have saved."""
        core = self.core
        self.policies = [PolicyRunner(one, core.log, self.clock, self.dead_letters) for one in core.policies()]

    def advance_policy(self, policy: PolicyRunner, most: int) -> bool:
        """Show the policy some more events; false when there are none, or it must wait."""
        batch = self.log.read(policy.position, most)
        if batch.upto == policy.position:
            return False
        try:
            policy.advance(batch.events, batch.upto)
        except RetryLater:
            return False
        return True

    def project(self) -> None:
        """Bring the read models to the log's head."""
        self.core.projection_runner().catch_up()

    def ingest(self, filename: str, data: bytes, calibrated_from: str | None = None) -> Ingested:
        """A file comes in, as by `POST /api/v1/ingest`."""
        core = self.core
        with core.store.staging() as staging:
            staging.write(data)
            return ingest_file(
                staging.finish(), filename, reader=core.reader, store=core.store, log=core.log,
                numbers=core.numbers, clock=self.clock, cause=CAUSE, calibrated_from=calibrated_from,
            )  # fmt: skip

    def carry(self, transfer: str) -> None:
        """The worker looks at a transfer; should it die of it, another takes its place."""
        ferry = self.core.ferry(f"w{self.workers}")
        try:
            msgspec.structs.replace(ferry, limits=places_for(transfer)).go_on()
        except RetryLater:
            pass
        except WorkerDied:
            self.workers += 1

    def sweep(self) -> None:
        """What the worker does now and then."""
        msgspec.structs.replace(self.core.sweep(), workers=NamedWorkers(f"w{self.workers}")).run()

    def carry_all(self) -> None:
        """Do what there are jobs for."""
        while self.jobs.nudges:
            self.carry(self.jobs.nudges.pop(0)[0])

    def settle(self, done: Callable[[], bool]) -> None:
        """Let time pass, and everybody work, until nothing happens any more and `done`."""
        for _ in range(40):
            head = self.log.head()
            self.project()
            while sum(self.advance_policy(policy, 500) for policy in self.policies):
                self.project()
            self.sweep()
            self.carry_all()
            self.project()
            if self.log.head() == head and done():
                return
            self.clock.forward(hours=1)
        raise AssertionError("it doesn't become quiet")

    def events(self, after: int) -> tuple[list[Recorded], int]:
        """What was stored since, and up to where."""
        batch = self.log.read(after, 10_000)
        return list(batch.events), batch.upto

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """What a read model has."""
        return self.connection.execute(statement.encode()).fetchall()

    def differing_read_models(self) -> list[str]:
        """Those that a rebuild would give otherwise."""
        core = self.core
        return [
            projection.name
            for projection in core.projections()
            if not rebuild(core.conninfo, core.log, projection, lambda *_: None, keep_different=True).identical
        ]
