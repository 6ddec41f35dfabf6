"""Real processes of Starferry for tests: `starferry api`, `projections` and `worker` on a given database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import msgspec

from tests.ports import free_port
from tests.site import eventually

ROOT = Path(__file__).resolve().parents[1]


class Processes(msgspec.Struct):
    """The API's address, the file that gets everything that is printed, and the process ids by command."""

    url: str
    log: Path
    pids: dict[str, int]


@contextmanager
def running_processes(
    data: Path, environment: Mapping[str, str], commands: tuple[str, ...] = ("api", "projections", "worker")
) -> Iterator[Processes]:
    """Run the commands on the data folder with these settings; stop them at the end. `api` must be among them."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    data.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        log = stack.enter_context((data / "log").open("ab"))
        children = {}
        for command in commands:
            arguments = [command, *(["--port", str(port)] if command == "api" else []), "--data", str(data)]
            children[command] = subprocess.Popen(
                [sys.executable, "-m", "api.cli", *arguments],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            stack.callback(_stop, children[command])
        eventually(
            lambda: _answers(url) or any(child.poll() is not None for child in children.values()),
            "the API didn't start",
            seconds=40,
        )
        ended = [command for command, child in children.items() if child.poll() is not None]
        assert not ended, (data / "log").read_text()[-2000:]
        yield Processes(url, data / "log", {command: child.pid for command, child in children.items()})


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(timeout=15)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False, timeout=20).status_code == 200
    except httpx.TransportError:
        return False
