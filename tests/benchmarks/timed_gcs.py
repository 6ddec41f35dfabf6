"""The Google Cloud Storage emulator as a process, with the times at which uploads' bytes began to arrive.

`python -m tests.benchmarks.timed_gcs --port N --state DIR`; `GET /_emulator/arrivals` gives the times (seconds since
1970) of all requests so far that bring bytes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.benchmarks.installation import ROOT, wait_ready
from tests.benchmarks.sinks import BUCKET
from tests.emulators.gcs import GcsEmulator
from tests.emulators.http_server import EmulatorServer, Request, Response
from tests.ports import free_port

EMAIL = "benchmark@emulated-project.iam.gserviceaccount.com"


class Timed:
    """The emulator with a clock at its door: a request comes here when its headers are in and its body isn't yet."""

    def __init__(self, emulator: GcsEmulator) -> None:
        self._emulator = emulator
        self._arrivals: list[float] = []

    def __call__(self, request: Request) -> Response:
        if request.path == "/_emulator/arrivals":
            return Response.json(self._arrivals)
        if request.method == "PUT" or request.arg("uploadType") == "multipart":
            self._arrivals.append(time.time())
        return self._emulator(request)


class Running:
    """A running emulator with one bucket and one account, whose JSON key is `key`."""

    def __init__(self, url: str, pid: int) -> None:
        self.url, self.pid = url, pid
        self._post("buckets", {"name": BUCKET}).raise_for_status()
        self.key = self._post("accounts", {"email": EMAIL}).text

    def arrivals(self) -> list[float]:
        """See the module."""
        times: list[float] = requests.get(f"{self.url}/_emulator/arrivals", timeout=10).json()
        return times

    def _post(self, call: str, body: dict[str, str]) -> requests.Response:
        return requests.post(f"{self.url}/_emulator/{call}", json=body, timeout=30)


@contextmanager
def running(state: Path) -> Iterator[Running]:
    """An emulator process for as long as the block runs."""
    port = free_port()
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.timed_gcs", "--port", str(port), "--state", str(state)], cwd=ROOT
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_ready(f"{url}/_emulator/arrivals", child)
        yield Running(url, child.pid)
    finally:
        child.terminate()
        child.wait(timeout=20)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.timed_gcs")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    options = parser.parse_args()
    EmulatorServer(Timed(GcsEmulator(options.state)), options.port).serve_forever()


if __name__ == "__main__":
    main()
