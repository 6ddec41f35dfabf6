"""Upload throughput to each provider's emulator through the worker, beside the bare SDK, and the worker's memory.

Both take turns, so that a busy moment meets both; the figures are medians. Before each turn all that was written goes
to the disk: else who comes later finds it busier, and it is the disk that is measured. Ours runs from the first start
to the last completion, as the events tell, with everything in between: winning each transfer, its file, its checks,
its events.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from domain.transfer_events import TransferCompleted, TransferStarted
from domain.transfers import stream_of
from tests.benchmarks import bare_sdk, machine
from tests.benchmarks.delivering import Deliveries, new_observation, raw_file, time_of
from tests.benchmarks.report import MIB, Row
from tests.benchmarks.session import Session
from tests.benchmarks.sinks import Sink, running

SHARE = 0.85
MEMORY = 2 * bare_sdk.CHUNK + 16 * MIB
"""For each transfer that runs."""
SETS = (
    ("1 GiB file", 1, 1024 * MIB, 3, 0.0),
    ("200 files of 2 MB", 200, 2_000_000, 9, 0.0),
    ("200 files of 2 MB, 80 ms away", 200, 2_000_000, 3, 0.08),
)
"""Name, files, bytes of each, rounds, and seconds that the sink waits before each answer. At no distance two cores are
shared by sink, database and worker, and what is compared is their work; at a distance it is the number of requests."""


def to(kind: type[Sink]) -> Callable[[Session], Iterator[Row]]:
    """The benchmark of one provider."""
    return lambda session: _provider(session, kind)


def _provider(session: Session, kind: type[Sink]) -> Iterator[Row]:
    installation = session.installation
    folder = Path(tempfile.mkdtemp(prefix="delivery-", dir=installation.data))
    (folder / "made").mkdir()
    try:
        with running(kind, folder / "sink") as sink:
            environment = {**sink.environment, "FILESYSTEM_STORAGE_ROOT_DIR": str(folder / "store")}
            with (
                installation.api(environment) as (address, api),
                installation.process("projections", environment=environment) as projections,
                installation.process("worker", environment=environment) as worker,
            ):
                installation.wait_projected()
                deliveries = Deliveries(installation, address)
                sink.allow(f"{address}/oauth/callback/{sink.consent}")
                processes = {"worker": worker.pid, "projections": projections.pid, "api": api, "emulator": sink.pid}
                comparison = _Comparison(session, deliveries, sink, folder, processes)
                comparison.warm_up()
                for name, count, size, rounds, wait in SETS:
                    with sink.away(wait):
                        yield from comparison.rows(name, count, size, rounds)
                deliveries.close()
    finally:
        shutil.rmtree(folder)


class _Comparison:
    """The worker and the bare SDK at one sink."""

    def __init__(
        self, session: Session, deliveries: Deliveries, sink: Sink, folder: Path, processes: dict[str, int]
    ) -> None:
        self._session = session
        self._deliveries = deliveries
        self._sink = sink
        self._made = folder / "made"
        self._processes = {**processes, "database": session.installation.postmaster()}
        self._worker = processes["worker"]
        self._destination = deliveries.sink(sink)
        self._copies = 0
        self._used: dict[str, float] = {}
        self._spent: dict[str, float] = {}

    def warm_up(self) -> None:
        """First use loads the SDK, fetches tokens and opens connections."""
        files = self._files(8, 100_000)
        self._through_worker(files)
        bare_sdk.rate(self._sink, files)

    def rows(self, name: str, count: int, size: int, rounds: int) -> Iterator[Row]:
        """Throughput and memory with so many files of so many bytes."""
        idle = machine.resident(self._worker)
        machine.reset_peak(self._worker)
        ours: list[float] = []
        bare: list[float] = []
        for turn in range(rounds):
            files = self._files(count, size)
            if turn % 2:
                bare.append(self._bare(files))
            ours.append(self._through_worker(files))
            if not turn % 2:
                bare.append(self._bare(files))
            for file in files:
                file.unlink()
        figure, partner = statistics.median(ours), statistics.median(bare)
        cpu = ", ".join(f"{who} {seconds:.1f}" for who, seconds in self._used.items())
        spent = ", ".join(f"{who} {seconds:.1f}" for who, seconds in self._spent.items())
        yield Row(
            name=f"delivery to {self._sink.name}, {name}",
            figure=figure,
            unit="MB/s",
            partner="bare SDK",
            partner_figure=partner,
            goal=f">= {SHARE} of it",
            reached=figure >= SHARE * partner,
            note=f"medians of {rounds}: {_listed(ours)}; SDK {_listed(bare)}; CPU seconds {cpu}; SDK {spent}",
        )
        at_a_time = min(count, bare_sdk.THREADS)
        above = (machine.peak(self._worker) - idle) / at_a_time
        yield Row(
            name=f"memory of a running transfer to {self._sink.name}, {name}",
            figure=above / MIB,
            unit="MiB",
            goal=f"<= {MEMORY / MIB:.0f}",
            reached=above <= MEMORY,
            note=f"the worker's peak above idle ({idle / MIB:.0f} MiB), shared by {at_a_time}",
        )

    def _files(self, count: int, size: int) -> list[Path]:
        frame, number = self._session.generator.frame(1), new_observation()
        return [raw_file(self._made, frame, size, number) for _ in range(count)]

    def _through_worker(self, files: list[Path]) -> float:
        """Megabytes a second."""
        for file in files:
            self._deliveries.ingest(file)
        number = int(files[0].name.split("-")[2])
        os.sync()
        meter = machine.Meter(self._processes)
        self._deliveries.observation(number, self._destination)
        before, self._copies = self._copies, self._copies + len(files)
        self._deliveries.wait(self._destination, self._copies)
        self._used = meter.stop()
        streams = [stream_of(row[0]) for row in self._deliveries.transfers(self._destination)[before:]]
        histories = self._deliveries.histories(streams).values()
        begun = min(time_of(history, TransferStarted.topic) for history in histories)
        ended = max(time_of(history, TransferCompleted.topic) for history in histories)
        return sum(file.stat().st_size for file in files) / (ended - begun).total_seconds() / 1e6

    def _bare(self, files: list[Path]) -> float:
        """Megabytes a second."""
        os.sync()
        meter = machine.Meter({"emulator": self._sink.pid, "loop": os.getpid()})
        rate = bare_sdk.rate(self._sink, files)
        self._spent = meter.stop()
        return rate


def _listed(rates: list[float]) -> str:
    return " ".join(f"{rate:.0f}" for rate in rates)
