"""`POST /frames/` on the loaded archive with 8 and 32 clients, beside a handler that only inserts a row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import load, machine
from tests.benchmarks.http_load import Measured, measure, post
from tests.benchmarks.minimal import minimal
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session

GOALS = {8: 1000, 32: 1500}
COUNT, WARM_UP = 4000, 320


def run(session: Session) -> Iterator[Row]:
    """See the module. The projections process keeps up meanwhile, as it does in production."""
    load.ensure(session)
    installation = session.installation
    token = installation.token()
    postgres = installation.postmaster()
    ours, least = {}, {}
    with (
        minimal(session) as (least_address, least_pid),
        installation.process("projections") as projections,
        installation.api() as (address, pid),
    ):
        machine.reset_peak(pid)
        roots = {"api": pid, "projections": projections.pid, "postgres": postgres}
        for clients in GOALS:
            beside = {"minimal": least_pid, "postgres": postgres}
            least[clients] = _ingest(session, least_address, "/insert", "", clients, beside)
            installation.wait_projected()
            ours[clients] = _ingest(session, address, "/frames/", token, clients, roots)
        peak = machine.peak(pid)
        installation.wait_projected()
    for clients, goal in GOALS.items():
        yield Row(
            name=f"ingest, POST /frames/, {clients} clients",
            figure=ours[clients].rate,
            unit="frames/s",
            partner="minimal handler",
            partner_figure=least[clients].rate,
            goal=f">= {goal}",
            reached=ours[clients].rate >= goal,
            peak=peak,
            note=f"{ours[clients].note()}; minimal: {least[clients].note()}",
        )
    if session.client:
        session.say(f"the other client isn't run for ingest: {Path(session.client).name} takes its own frames")


def _ingest(session: Session, address: str, path: str, token: str, clients: int, roots: dict[str, int]) -> Measured:
    bodies = [post(address, path, json.dumps(frame).encode(), token) for frame in session.take(COUNT + WARM_UP)]
    return measure(address, bodies[WARM_UP:], clients=clients, processes=roots, warm_up=bodies[:WARM_UP])
