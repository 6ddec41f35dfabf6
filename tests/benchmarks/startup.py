"""`starferry up` on the loaded archive, everything stopped before, until `/readyz` answers with 200."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.benchmarks import load, machine
from tests.benchmarks.installation import wait_ready
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session
from tests.ports import free_port

GOAL, ROUNDS = 3.0, 3


def run(session: Session) -> Iterator[Row]:
    """See the module."""
    load.ensure(session)
    installation = session.installation
    seconds: list[float] = []
    peak = 0
    frames = installation.frames()
    for _ in range(ROUNDS):
        installation.close_database()
        port = free_port()
        begun = time.perf_counter()
        with installation.process("up", "--port", str(port)) as child:
            wait_ready(f"http://127.0.0.1:{port}/readyz", child)
            seconds.append(time.perf_counter() - begun)
            peak = max(peak, machine.peak(child.pid))
    seconds.sort()
    yield Row(
        name="start on an existing database",
        figure=seconds[len(seconds) // 2],
        unit="s",
        goal=f"< {GOAL:.0f}",
        reached=seconds[len(seconds) // 2] < GOAL,
        peak=peak,
        note=f"{frames} frames; all {' '.join(f'{one:.2f}' for one in seconds)}; memory is the supervisor's",
    )
