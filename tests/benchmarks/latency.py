"""From FileProcessed to the first byte at the destination, on an idle system: files one after another."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from domain.frames import FileProcessed, stream_of
from domain.transfer_events import TransferRequested, TransferStarted
from domain.transfers import stream_of as transfer_stream
from tests.benchmarks import machine
from tests.benchmarks.delivering import Deliveries, new_observation, raw_file, time_of
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session
from tests.benchmarks.timed_gcs import Running, running

FILES, SIZE, GOAL_MS = 100, 100_000, 250
PAUSE = 0.1


def run(session: Session) -> Iterator[Row]:
    """See the module."""
    installation = session.installation
    folder = Path(tempfile.mkdtemp(prefix="latency-", dir=installation.data))
    (folder / "delivered").mkdir()
    (folder / "made").mkdir()
    try:
        with running(folder / "gcs") as gcs:
            environment = {
                "STARFERRY_FOLDER_ROOTS": str(folder / "delivered"),
                "STARFERRY_GCS_URL": gcs.url,
                "FILESYSTEM_STORAGE_ROOT_DIR": str(folder / "store"),
            }
            with (
                installation.api(environment) as (address, _),
                installation.process("projections", environment=environment),
                installation.process("worker", environment=environment) as worker,
            ):
                installation.wait_projected()
                deliveries = Deliveries(installation, address)
                machine.reset_peak(worker.pid)
                yield _measure(session, deliveries, folder, None, worker.pid)
                yield _measure(session, deliveries, folder, gcs, worker.pid)
                deliveries.close()
    finally:
        shutil.rmtree(folder)


def _measure(session: Session, deliveries: Deliveries, folder: Path, gcs: Running | None, worker: int) -> Row:
    place = "folder" if gcs is None else "Cloud Storage"
    destination = deliveries.folder(folder / "delivered") if gcs is None else deliveries.gcs(gcs.key)
    number = new_observation()
    deliveries.observation(number, destination)
    files = [raw_file(folder / "made", session.generator.frame(i), SIZE, number) for i in range(FILES)]
    for done, file in enumerate(files, start=1):
        deliveries.ingest(file)
        deliveries.wait(destination, done)
        time.sleep(PAUSE)  # the system is to be idle when the next one comes
    rows = deliveries.transfers(destination)
    delivered = folder / "delivered"
    arrivals = gcs.arrivals()[-FILES:] if gcs else [(delivered / row[2].lstrip("/")).stat().st_mtime for row in rows]
    frames = deliveries.histories([stream_of(row[1]) for row in rows])
    told = deliveries.histories([transfer_stream(row[0]) for row in rows])
    processed = [time_of(frames[stream_of(row[1])], FileProcessed.topic).timestamp() for row in rows]
    stages = {
        name: [time_of(told[transfer_stream(row[0])], topic).timestamp() for row in rows]
        for name, topic in (("requested", TransferRequested.topic), ("started", TransferStarted.topic))
    }
    spans = {
        name: sorted((at - begun) * 1e3 for at, begun in zip(times, processed, strict=True))
        for name, times in {**stages, "first byte": arrivals}.items()
    }
    p50, p99 = _at(spans["first byte"], 0.5), _at(spans["first byte"], 0.99)
    return Row(
        name=f"FileProcessed to first byte, {place}, p99",
        figure=p99,
        unit="ms",
        goal=f"< {GOAL_MS}",
        reached=p99 < GOAL_MS,
        peak=machine.peak(worker),
        note=f"p50 {p50:.0f} ms; to TransferRequested p50 {_at(spans['requested'], 0.5):.0f} p99 "
        f"{_at(spans['requested'], 0.99):.0f}; to TransferStarted p50 {_at(spans['started'], 0.5):.0f} p99 "
        f"{_at(spans['started'], 0.99):.0f}; memory is the worker's",
    )


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
