"""A zip download of 10 GiB: how fast, and what memory the API takes above idle."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import httpx

from tests.benchmarks import machine
from tests.benchmarks.report import MIB, Row
from tests.benchmarks.session import Session
from tests.benchmarks.sparse_frames import read_through, record_sparse_frame

FRAMES, SIZE = 10, 1 << 30
GOAL = 64 * MIB


def run(session: Session) -> Iterator[Row]:
    """See the module. The files are sparse, so that neither disk nor page cache sets the pace."""
    installation = session.installation
    store = installation.data / "zip-store"
    environment = {"FILESYSTEM_STORAGE_ROOT_DIR": str(store)}
    headers = {"Authorization": f"Token {installation.token()}"}
    try:
        with (
            installation.process("projections"),
            installation.api(environment) as (address, pid),
            httpx.Client(base_url=address, headers=headers, timeout=120, trust_env=False) as client,
        ):
            small = record_sparse_frame(client, store, 1 << 20)
            large = [record_sparse_frame(client, store, SIZE) for _ in range(FRAMES)]
            installation.wait_projected()
            read_through(client, [small])
            idle = machine.resident(pid)
            machine.reset_peak(pid)
            begun = time.perf_counter()
            got = read_through(client, large)
            seconds = time.perf_counter() - begun
            peak = machine.peak(pid)
    finally:
        shutil.rmtree(store, ignore_errors=True)
    if got < FRAMES * SIZE:
        raise RuntimeError(f"The zip had only {got} bytes.")
    yield Row(
        name="memory of a 10 GiB zip above idle",
        figure=(peak - idle) / MIB,
        unit="MiB",
        goal=f"<= {GOAL // MIB}",
        reached=peak - idle <= GOAL,
        peak=peak,
        note=f"{got / MIB / seconds:.0f} MiB/s to a client on the same machine",
    )
