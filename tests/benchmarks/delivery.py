"""Upload throughput to the Cloud Storage emulator through the worker, beside the bare SDK, and the worker's memory."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from adapters.destinations.gcs_client import Connection
from domain.transfers import TransferCompleted, TransferStarted, stream_of
from tests.benchmarks import machine
from tests.benchmarks.delivering import Deliveries, new_observation, raw_file, time_of
from tests.benchmarks.installation import new_name
from tests.benchmarks.report import MIB, Row
from tests.benchmarks.session import Session
from tests.benchmarks.timed_gcs import BUCKET, Running, running

CHUNK, THREADS = 8 * MIB, 4
SHARE, MEMORY = 0.85, 2 * CHUNK + 16 * MIB
SETS = (("1 GiB file", 1, 1024 * MIB), ("200 files of 2 MB", 200, 2_000_000))
ROUNDS = 2


def run(session: Session) -> Iterator[Row]:
    """See the module. The worker's rate runs from the first start to the last completion, as the events tell."""
    installation = session.installation
    folder = Path(tempfile.mkdtemp(prefix="delivery-", dir=installation.data))
    (folder / "made").mkdir()
    try:
        with running(folder / "gcs") as gcs:
            environment = {
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
                _through_worker(session, deliveries, gcs, folder, 1, 100_000)  # first use loads the SDK
                for name, count, size in SETS:
                    yield from _compare(session, deliveries, gcs, folder, name, count, size, worker.pid)
                deliveries.close()
    finally:
        shutil.rmtree(folder)


def _compare(
    session: Session,
    deliveries: Deliveries,
    gcs: Running,
    folder: Path,
    name: str,
    count: int,
    size: int,
    worker: int,
) -> Iterator[Row]:
    idle = machine.resident(worker)
    machine.reset_peak(worker)
    ours: list[float] = []
    bare: list[float] = []
    cpu: list[str] = []
    for _ in range(ROUNDS):
        meter = machine.Meter({"worker": worker, "emulator": gcs.pid})
        rate, files = _through_worker(session, deliveries, gcs, folder, count, size)
        ours.append(rate)
        used = meter.stop()
        cpu.append(" ".join(f"{who} {seconds:.1f} s" for who, seconds in used.items()))
        bare.append(_bare(gcs, files))
        for file in files:
            file.unlink()
    peak = machine.peak(worker)
    yield Row(
        name=f"delivery, {name}",
        figure=max(ours),
        unit="MB/s",
        partner="bare SDK",
        partner_figure=max(bare),
        goal=f">= {SHARE} of it",
        reached=max(ours) >= SHARE * max(bare),
        peak=peak,
        note=f"best of {ROUNDS}, all {_listed(ours)}, SDK {_listed(bare)}; CPU {cpu[-1]}",
    )
    above = (peak - idle) / MIB
    yield Row(
        name=f"worker's memory above idle, {name}",
        figure=above,
        unit="MiB",
        goal=f"<= {MEMORY / MIB:.0f}" if count == 1 else "",
        reached=above * MIB <= MEMORY if count == 1 else None,
        note=f"idle {idle / MIB:.0f} MiB",
    )


def _through_worker(
    session: Session, deliveries: Deliveries, gcs: Running, folder: Path, count: int, size: int
) -> tuple[float, list[Path]]:
    """Megabytes a second, and the files, which are kept for the SDK."""
    frame = session.generator.frame(1)
    number = new_observation()
    files = [raw_file(folder / "made", frame, size, number) for _ in range(count)]
    for file in files:
        deliveries.ingest(file)
    destination = deliveries.gcs(gcs.key)
    deliveries.observation(number, destination)
    deliveries.wait(destination, count)
    streams = [stream_of(row[0]) for row in deliveries.transfers(destination)]
    histories = deliveries.histories(streams).values()
    begun = min(time_of(history, TransferStarted.topic) for history in histories)
    ended = max(time_of(history, TransferCompleted.topic) for history in histories)
    total = sum(file.stat().st_size for file in files)
    return total / (ended - begun).total_seconds() / 1e6, files


def _bare(gcs: Running, files: list[Path]) -> float:
    """Megabytes a second of the SDK alone: resumable in 8 MiB chunks, small files in one request, 4 threads."""
    connection = Connection(msgspec.json.decode(gcs.key), gcs.url)
    bucket = connection.client.bucket(BUCKET)

    def upload(file: Path) -> None:
        with file.open("rb") as source:
            blob = bucket.blob(new_name("bare/"), chunk_size=CHUNK if file.stat().st_size > CHUNK else None)
            blob.upload_from_file(source, size=file.stat().st_size, checksum="crc32c", if_generation_match=0)

    connection.fetch_token(30.0)
    begun = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(upload, files))
    elapsed = time.perf_counter() - begun
    connection.close()
    return sum(file.stat().st_size for file in files) / elapsed / 1e6


def _listed(rates: list[float]) -> str:
    return " ".join(f"{rate:.0f}" for rate in rates)
