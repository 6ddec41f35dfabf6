"""S26: the data keys of 10 000 configurations move to another master key, again and again, while workers deliver.

The rotations are those of the command line, as an operator runs them; fifty of the configurations get files, batch
after batch until there were some rotations. A rotation's time is that of the whole command.
"""

from __future__ import annotations

import base64
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg_pool import ConnectionPool

from adapters.clock import SystemClock
from adapters.event_store.log import PostgresEventLog
from adapters.vault.keyring import parse
from adapters.vault.postgres_vault import PostgresVault
from application.ports.event_log import Commit, Write
from domain.event import Cause
from domain.storage_configs import Settings, StorageConfigCreated, stream_of
from tests.benchmarks.delivering import Deliveries, new_observation, raw_file
from tests.benchmarks.installation import USER, Installation, new_name
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session
from tests.benchmarks.sinks import Gcs, running

CONFIGS, RECEIVING, FILES, SIZE = 10_000, 50, 4, 200_000
LEAST, MOST_SECONDS = 4, 60.0
"""Rotations, and what one may take."""
OLD, NEW = (f"{name}:{base64.b64encode(name.encode() * 11)[:43].decode()}=" for name in ("old", "new"))
FAILURES = (
    "SELECT count(*) FROM starferry.starferry_events WHERE topic IN ('transfer.attempt_failed', 'transfer.failed')"
)


def run(session: Session) -> Iterator[Row]:
    """See the module. Its database is its own, for the master keys are."""
    folder = Path(tempfile.mkdtemp(prefix="rotation-", dir=session.installation.data))
    folder.chmod(0o711)
    installation = Installation(folder)
    try:
        with running(Gcs, folder / "gcs") as sink:
            yield _rotations(session, installation, sink, folder)
    finally:
        installation.close_database()
        shutil.rmtree(folder, ignore_errors=True)


def _rotations(session: Session, installation: Installation, sink: Gcs, folder: Path) -> Row:
    environment = {**sink.environment, "STARFERRY_MASTER_KEYS": f"{NEW},{OLD}"}
    installation.token()  # while nothing is sealed commands need no master key
    _fill(installation.conninfo, sink)
    with (
        installation.api(environment) as (address, _),
        installation.process("projections", environment=environment),
        installation.process("worker", environment=environment),
        installation.process("worker", environment=environment),
        psycopg.connect(installation.conninfo, autocommit=True) as connection,
    ):
        installation.wait_projected()
        deliveries = Deliveries(installation, address)
        configs = [deliveries.sink(sink) for _ in range(RECEIVING)]
        (folder / "made").mkdir()
        rotator = _Rotator(installation)
        rotator.start()
        delivered = 0
        while rotator.is_alive() and len(rotator.seconds) < LEAST:
            number = new_observation()
            for _ in range(FILES):
                deliveries.ingest(raw_file(folder / "made", session.generator.frame(1), SIZE, number))
            deliveries.observation(number, *configs)
            delivered += FILES
            for config in configs:
                deliveries.wait(config, delivered, seconds=600.0)
        rotator.stop()
        ((failed,),) = connection.execute(FAILURES).fetchall()
        deliveries.close()
    slowest, moved = max(rotator.seconds), min(rotator.moved)
    return Row(
        name=f"key rotation of {CONFIGS:,} configurations while {delivered * RECEIVING} transfers run, slowest",
        figure=slowest,
        unit="s",
        goal=f"<= {MOST_SECONDS:.0f}, none fails",
        reached=slowest <= MOST_SECONDS and failed == 0 and moved >= CONFIGS,
        note=f"{len(rotator.seconds)} rotations of at least {moved:,} keys; {failed} attempts failed",
    )


class _Rotator(threading.Thread):
    """Rotates to and fro until it is stopped."""

    def __init__(self, installation: Installation) -> None:
        super().__init__(name="rotations")
        self._installation = installation
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self.seconds: list[float] = []
        self.moved: list[int] = []

    def run(self) -> None:
        keys = [OLD, NEW]
        try:
            while not self._stopping.is_set():
                done = self._installation.command(
                    "keys", "rotate", environment={"STARFERRY_MASTER_KEYS": ",".join(keys)}
                )
                self.seconds.append(done.seconds)
                self.moved.append(int(done.output.split()[0]))
                keys.reverse()
        except Exception as error:
            self._error = error

    def stop(self) -> None:
        """After the rotation at hand. Raises what went wrong."""
        self._stopping.set()
        self.join()
        if self._error is not None:
            raise self._error


def _fill(conninfo: str, sink: Gcs) -> None:
    """Configurations that nothing is delivered to: their events and their sealed keys."""
    log = PostgresEventLog(conninfo)
    settings = Settings(display_name="Bucket", destination_path="/")
    names = [new_name("cfg-") for _ in range(CONFIGS - RECEIVING)]
    for first in range(0, len(names), 500):
        created = [
            StorageConfigCreated(
                id=name, provider="google_cloud_storage", scope="personal", scope_id="", owner=USER, settings=settings,
                options={"bucket": sink.credentials["bucket"]},
            )
            for name in names[first : first + 500]
        ]  # fmt: skip
        writes = tuple(Write(stream_of(event.id), 0, (event,)) for event in created)
        log.append(Commit(writes=writes, cause=Cause(actor=USER, via="cli"), at=SystemClock().now()))
    log.close()
    with ConnectionPool(
        conninfo, min_size=1, kwargs={"autocommit": True, "options": "-c synchronous_commit=off"}
    ) as pool:
        vault = PostgresVault(pool, parse(NEW, "the benchmark"))
        for name in names:
            vault.put(name, {"service_account_json": sink.credentials["service_account_json"]})
