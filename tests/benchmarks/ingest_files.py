"""`starferry ingest` of files of 1 MB into the directory store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from adapters.event_store.log import PostgresEventLog
from domain.frames import FileProcessed
from tests.benchmarks.fits_files import write_fits
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session

FILES, SIZE, GOAL = 600, 1_000_000, 100


def run(session: Session) -> Iterator[Row]:
    """See the module. The rate without start-up is that between the first and the last event."""
    installation = session.installation
    folder = Path(tempfile.mkdtemp(prefix="night-", dir=installation.data))
    try:
        for frame in session.take(FILES):
            write_fits(folder, frame, SIZE)
        session.say(f"made {FILES} files of {SIZE / 1e6:.0f} MB")
        head = installation.head()
        environment = {"FILESYSTEM_STORAGE_ROOT_DIR": str(folder / "store")}
        finished = installation.command("ingest", str(folder), environment=environment)
        if not finished.output.startswith(f"{FILES} ingested"):
            raise RuntimeError(finished.output)
        log = PostgresEventLog(installation.conninfo)
        times = [recorded.at for recorded in log.read(head, 10_000, topics={FileProcessed.topic}).events]
        log.close()
    finally:
        shutil.rmtree(folder)
    steady = (len(times) - 1) / (max(times) - min(times)).total_seconds()
    yield Row(
        name="ingest of files, 1 MB",
        figure=FILES / finished.seconds,
        unit="files/s",
        goal=f">= {GOAL}",
        reached=FILES / finished.seconds >= GOAL,
        peak=finished.peak,
        note=f"start-up included ({finished.seconds:.1f} s in all); without it {steady:.0f} files/s",
    )
