"""Worker processes that share many transfers to a folder and a bucket. One is killed, and one loses the database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from adapters.jobs.workers import NAMESPACE
from domain.event import Recorded
from domain.transfer_events import (
    TransferAttemptFailed,
    TransferCompleted,
    TransferFailed,
    TransferInterrupted,
    TransferStarted,
)
from tests.emulators.faults import Fault
from tests.emulators.gcs import RunningGcs, running_gcs
from tests.integration.api.deliveries import create, folder_body, gcs_body, objects, observe
from tests.records import fits_bytes
from tests.site import PROPOSAL, Site, eventually, running_site
from tests.soak.line import Line, running_line

ROOT = Path(__file__).resolve().parents[2]
ENDINGS = (TransferStarted, TransferCompleted, TransferInterrupted, TransferAttemptFailed, TransferFailed)
NUMBER = 4711
"""Of the observation that all files belong to."""
UPLOAD_SECONDS = 0.03
"""What a bucket takes for a request, so that a worker always has some transfers in the middle."""


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the transfers to one destination."""

    destination: str
    wanted: int
    there: int
    """Objects at the destination."""
    intact: int
    """Those with the right name and the right bytes."""
    completed: int
    """Transfers with exactly one completion."""
    twice: int
    """Transfers with more than one."""
    starts: int
    taken_over: int
    failures: int

    @property
    def exactly_once(self) -> bool:
        return self.wanted == self.there == self.intact == self.completed and not self.twice


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`carried` is by worker; `restarts` counts those that ended by themselves and were started again."""

    arrivals: list[Arrivals]
    carried: dict[str, int]
    restarts: int
    cut_connections: int
    seconds: float


class Crew:
    """Worker processes, each kept running until it is let go."""

    def __init__(self, data: Path, log: Path, environment: dict[str, str], conninfos: list[str]) -> None:
        self._data, self._environment, self._conninfos = data, environment, conninfos
        self._log = log.open("ab")
        self.restarts = 0
        self.members: dict[int, subprocess.Popen[bytes]] = {}
        self.pids: dict[int, int] = {}
        for number in range(len(conninfos)):
            self._start(number)

    def kill(self, number: int) -> None:
        """`kill -9`, for good."""
        child = self.members.pop(number)
        child.send_signal(signal.SIGKILL)
        child.wait()

    def keep(self) -> None:
        """Start those again that have ended."""
        for number, child in self.members.items():
            if child.poll() is not None:
                self.restarts += 1
                self._start(number)

    def close(self) -> None:
        for child in self.members.values():
            child.send_signal(signal.SIGTERM)
        for child in self.members.values():
            try:
                child.wait(timeout=15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._log.close()

    def _start(self, number: int) -> None:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **self._environment}
        child = self.members[number] = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "worker", "--data", str(self._data)],
            env=environment | {"DATABASE_URL": self._conninfos[number]},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self.pids[child.pid] = number


def share(
    folder: Path, conninfo: str, *, files: int, workers: int, cut_seconds: float, say: Callable[[str], None]
) -> Outcome:
    """Each file goes to both destinations. Worker 1 loses the database when a tenth has arrived, for so many seconds at
    least and until the others have done all they could; worker 0 is killed when a fifth has."""
    with ExitStack() as stack:
        gcs = stack.enter_context(running_gcs(folder / "gcs"))
        environment = {
            "STARFERRY_FOLDER_ROOTS": str(folder / "site"),
            "STARFERRY_GCS_URL": gcs.url,
            "STARFERRY_RETRY_SCHEDULE": "1,2,4",
            "STARFERRY_SWEEP_SECONDS": "1",
        }
        site = stack.enter_context(running_site(folder / "site", conninfo, environment))
        site.jobs.paused.set()  # only the crew carries
        sent, configs, places = _wishes(site, gcs, files)
        gcs.server.faults.add(Fault(method="PUT", path="upload_id", stall=UPLOAD_SECONDS, times=0))
        line = stack.enter_context(running_line(conninfo))
        conninfos = [line.conninfo if number == 1 else conninfo for number in range(workers)]
        crew = Crew(site.core.settings.data, folder / "workers.log", environment, conninfos)
        stack.callback(crew.close)
        eventually(lambda: _are_all_there(site, crew), "the workers don't start", seconds=60)
        observe(site.user, *configs.values(), observation_id=NUMBER)
        say(f"{2 * files} transfers for {workers} workers")
        began = time.monotonic()
        cut = _troubles(site, crew, line, 2 * files, cut_seconds, say)
        seconds = time.monotonic() - began
        crew.close()  # what a worker that was cut off still had in hand has come to its end
        histories = _histories(site)
        arrivals = [
            _arrivals(name, configs[name], histories, sent, found()) for name, found in places.items()
        ]  # fmt: skip
        carried = _carriers(crew, histories)
        return Outcome(
            arrivals=arrivals,
            carried={f"worker {number}": carried[number] for number in range(workers)},
            restarts=crew.restarts,
            cut_connections=cut,
            seconds=seconds,
        )


def _wishes(
    site: Site, gcs: RunningGcs, files: int
) -> tuple[dict[str, bytes], dict[str, str], dict[str, Callable[[], dict[str, bytes]]]]:
    """The files by name, the configurations by destination, and how to see what is at each."""
    (site.core.settings.data / "destinations").mkdir()
    nas, bucket = folder_body(site), gcs_body(gcs)
    configs = {"folder": create(site.user, nas)["id"], "bucket": create(site.user, bucket)["id"]}
    sent = {f"soak-{one:05}.fits": fits_bytes(BLKUID=NUMBER, PROPID=PROPOSAL) for one in range(files)}
    for name, data in sent.items():
        site.ingest(data, name)
    site.settle()
    root = Path(nas["credentials"]["root"])

    def copies() -> dict[str, bytes]:
        return {str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*") if one.is_file()}

    return sent, configs, {"folder": copies, "bucket": lambda: objects(gcs, bucket["credentials"]["bucket"])}


def _troubles(site: Site, crew: Crew, line: Line, total: int, cut_seconds: float, say: Callable[[str], None]) -> int:
    began = time.monotonic()

    def arrived(least: int) -> bool:
        crew.keep()
        return _count(site, "completed") >= least

    def tell(what: str) -> None:
        say(f"{time.monotonic() - began:6.1f} s, {_count(site, 'completed'):5} arrived: {what}")

    eventually(lambda: arrived(total // 10), "nothing arrives", seconds=120)
    cut, cut_at = line.cut(), time.monotonic()
    tell("worker 1 is cut off from the database")
    eventually(lambda: arrived(total // 5), "nothing arrives without it", seconds=120)
    eventually(lambda: 0 in _carriers(crew, _histories(site)), "worker 0 carries nothing", seconds=120)
    crew.kill(0)
    tell("worker 0 is killed")
    if len(crew.members) > 1:
        eventually(lambda: arrived(total), "not everything arrives", seconds=60 + total / 4)
        tell("all have arrived")
    eventually(lambda: time.monotonic() - cut_at >= cut_seconds, "time stands still", seconds=cut_seconds + 5)
    line.mend()
    tell("worker 1 reaches the database again")
    eventually(lambda: arrived(total), "not everything arrives", seconds=60 + total / 4)
    eventually(lambda: _are_all_there(site, crew), "worker 1 isn't back", seconds=60)
    site.settle()
    tell("worker 1 is back, and all have arrived")
    return cut


def _are_all_there(site: Site, crew: Crew) -> bool:
    """Each of the crew holds the lock that proves it alive."""
    crew.keep()
    with site.core.pool.connection() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            (NAMESPACE,),
        ).fetchone()
    return row is not None and row[0] >= len(crew.members)


def _count(site: Site, what: str) -> int:
    with site.core.pool.connection() as connection:
        row = connection.execute(
            "SELECT count(*) FROM starferry.starferry_events WHERE topic = %s", (f"transfer.{what}",)
        ).fetchone()
    return int(row[0]) if row else 0


def _histories(site: Site) -> dict[str, list[Recorded]]:
    """What happened to each transfer, by stream."""
    topics = [event.topic for event in ENDINGS]
    histories: dict[str, list[Recorded]] = {}
    position, head = 0, site.events()
    while position < head:
        batch = site.core.log.read(position, 5000, topics=topics)
        position = batch.upto
        for one in batch.events:
            histories.setdefault(one.stream, []).append(one)
    return histories


def _carriers(crew: Crew, histories: dict[str, list[Recorded]]) -> Counter[int]:
    """How many transfers each worker has completed."""
    return Counter(
        crew.pids[int(one.cause.actor.split(":")[-2])]
        for history in histories.values()
        for one in history
        if isinstance(one.event, TransferCompleted)
    )


def _arrivals(
    destination: str, config: str, histories: dict[str, list[Recorded]], sent: dict[str, bytes], found: dict[str, bytes]
) -> Arrivals:
    mine = [[one.event for one in history] for stream, history in histories.items() if stream.endswith(config)]
    completions = [sum(isinstance(event, TransferCompleted) for event in events) for events in mine]
    told = Counter(type(event) for events in mine for event in events)
    by_name = {path.rpartition("/")[2]: data for path, data in found.items()}
    return Arrivals(
        destination=destination,
        wanted=len(sent),
        there=len(found),
        intact=sum(by_name.get(name) == data for name, data in sent.items()),
        completed=completions.count(1),
        twice=sum(number > 1 for number in completions),
        starts=told[TransferStarted],
        taken_over=told[TransferInterrupted],
        failures=told[TransferAttemptFailed] + told[TransferFailed],
    )
