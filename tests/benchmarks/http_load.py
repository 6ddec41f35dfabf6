"""Runs the HTTP client beside servers and says what it found, with the CPU time of everybody who took part."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.benchmarks.http_client import Outcome, Plan
from tests.benchmarks.installation import ROOT
from tests.benchmarks.machine import Meter


class Measured(NamedTuple):
    """An outcome, CPU milliseconds a request by process, and the cores that others kept busy meanwhile."""

    outcome: Outcome
    cpu_ms: dict[str, float]
    foreign: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.outcome.count / self.outcome.seconds

    def note(self) -> str:
        """Latency and CPU in a line."""
        cpu = " + ".join(f"{name} {value:.2f}" for name, value in self.cpu_ms.items())
        size = self.outcome.received / self.outcome.count / 1000
        return (
            f"p50 {self.outcome.p50:.1f} p99 {self.outcome.p99:.1f} ms, CPU ms a request: {cpu}, "
            f"client {self.outcome.cpu_seconds / self.outcome.count * 1e3:.2f}; {size:.1f} kB, "
            f"{_statuses(self.outcome)}others {self.foreign:.1f} cores"
        )


def get(address: str, path: str, token: str = "", *, forwarded_for: str = "") -> bytes:
    """A GET request as bytes."""
    proxied = f"X-Forwarded-For: {forwarded_for}\r\n" if forwarded_for else ""
    return _head("GET", address, path, token) + f"{proxied}\r\n".encode()


def post(address: str, path: str, body: bytes, token: str = "") -> bytes:
    """A POST request of JSON as bytes."""
    more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return _head("POST", address, path, token) + more.encode() + body


def measure(
    address: str,
    requests: Sequence[bytes],
    *,
    clients: int,
    processes: Mapping[str, int],
    seconds: float | None = None,
    warm_up: Sequence[bytes] = (),
) -> Measured:
    """One run. Raises RuntimeError when an answer isn't 200 or 201."""
    plan = Plan(int(address.rpartition(":")[2]), clients, list(requests), seconds, list(warm_up))
    with tempfile.NamedTemporaryFile(suffix=".plan") as file:
        Path(file.name).write_bytes(msgspec.msgpack.encode(plan))
        client = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.http_client", file.name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with client:
            assert client.stdin is not None
            assert client.stdout is not None
            if client.stdout.readline().strip() != b"ready":
                raise RuntimeError("The client didn't get ready.")
            meter = Meter(processes)
            client.stdin.write(b"go\n")
            client.stdin.flush()
            line = client.stdout.readline()
            used = meter.stop()
    outcome = msgspec.json.decode(line, type=Outcome)
    if set(outcome.statuses) - {"200", "201"}:
        raise RuntimeError(f"Answers were {outcome.statuses}, the first: {outcome.first_body}")
    return Measured(outcome, {name: used[name] / outcome.count * 1e3 for name in processes}, meter.foreign)


def _head(method: str, address: str, path: str, token: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {address.removeprefix('http://')}", "Accept: application/json"]
    if token:
        lines.append(f"Authorization: Token {token}")
    return ("\r\n".join(lines) + "\r\n").encode()


def _statuses(outcome: Outcome) -> str:
    return "" if len(outcome.statuses) == 1 else f"answers {outcome.statuses}, "
