"""A rebuild of the frames read model: its rate alone, and what it does to those who read meanwhile."""

from __future__ import annotations

import resource
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.benchmarks import load, machine
from tests.benchmarks.installation import Installation
from tests.benchmarks.report import Row
from tests.benchmarks.session import Session

GOAL_EVENTS, GOAL_SLOWER = 20_000, 2.0
QUIET_SECONDS, READS_A_SECOND = 15.0, 50
PATHS = ("/frames/?limit=20", "/frames/?limit=20&target_name=NGC%201", "/frames/?limit=20&covers=POINT(10%2020)")


def run(session: Session) -> Iterator[Row]:
    """See the module."""
    load.ensure(session)
    installation = session.installation
    yield from _alone(installation)
    token = installation.token()
    with installation.api() as (address, _):
        with _reading(address, token) as quiet:
            time.sleep(QUIET_SECONDS)
        with _reading(address, token) as disturbed:
            finished = installation.command("projections", "rebuild", "frames")
    slower = disturbed.p99 / quiet.p99
    yield Row(
        name="reads during a rebuild, p99",
        figure=disturbed.p99,
        unit="ms",
        partner="quiet",
        partner_figure=quiet.p99,
        goal=f"< {GOAL_SLOWER:.0f} times quiet, none fails",
        reached=slower < GOAL_SLOWER and not disturbed.failed,
        note=f"{len(disturbed.spans)} reads at {READS_A_SECOND} a second, {_told(disturbed.failed)} failed; p50 "
        f"{disturbed.at(0.5):.1f} ms, quiet {quiet.at(0.5):.1f} ms; {_rate(finished.output):.0f} events/s meanwhile",
    )


def _alone(installation: Installation) -> Iterator[Row]:
    events = installation.head()
    meter = machine.Meter({"postgres": installation.postmaster()})
    before = _children()
    finished = installation.command("projections", "rebuild", "frames")
    postgres, python = meter.stop()["postgres"], _children() - before
    figure = _rate(finished.output)
    yield Row(
        name="rebuild of the frames read model",
        figure=figure,
        unit="events/s",
        goal=f">= {GOAL_EVENTS}",
        reached=figure >= GOAL_EVENTS,
        peak=finished.peak,
        note=f"{events} events; as `starferry projections rebuild frames` says: load, indexes and comparison. CPU an "
        f"event: Python {python / events * 1e6:.0f} µs (its start included), PostgreSQL {postgres / events * 1e6:.0f} "
        "µs; memory is that of the largest process",
    )


def _told(failed: Counter[str]) -> str:
    return ", ".join(f"{count} with {what}" for what, count in failed.items()) or "none"


def _rate(output: str) -> float:
    return float(output.rpartition("(")[2].split("/s")[0])


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Reads:
    """Milliseconds of each answer, and what was wrong with those that weren't good."""

    def __init__(self) -> None:
        self.spans: list[float] = []
        self.failed: Counter[str] = Counter()

    @property
    def p99(self) -> float:
        return self.at(0.99)

    def at(self, share: float) -> float:
        """The time within which this share was answered."""
        ordered = sorted(self.spans)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@contextmanager
def _reading(address: str, token: str) -> Iterator[_Reads]:
    """Somebody reads at an even pace for as long as the block runs."""
    reads, stop = _Reads(), threading.Event()

    def read() -> None:
        with requests.Session() as client:
            client.headers["Authorization"] = f"Token {token}"
            number = 0
            while not stop.wait(1 / READS_A_SECOND):
                begun = time.perf_counter()
                try:
                    status = client.get(address + PATHS[number % len(PATHS)], timeout=30).status_code
                    if status != 200:
                        reads.failed[str(status)] += 1
                except requests.RequestException as error:
                    reads.failed[type(error).__name__] += 1
                reads.spans.append((time.perf_counter() - begun) * 1e3)
                number += 1

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield reads
    finally:
        stop.set()
        reader.join()
