"""A whole installation as separate processes, kept running as a supervisor would: what ends is started again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import httpx

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres.layout import Layout
from adapters.embedded_postgres.server_state import PidFile
from tests.ports import free_port
from tests.postgres import start_test_cluster

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {"api": "api", "projections": "projections", "worker 1": "worker", "worker 2": "worker"}
Database = Literal["postgres", "backend", "session"]
RESTART_SECONDS = 0.3
"""How long a supervisor waits before it starts again what has ended."""


class Installation:
    """PostgreSQL, the API, `projections` and two workers, on one data folder.

    Nothing mends anything by hand: a thread starts again what has ended, and that is all.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.data = folder / "data"
        self.log = folder / "log"
        self._server_folder = folder / "server"
        self._server: EmbeddedPostgres = start_test_cluster(self._server_folder, durable=True)
        self.conninfo = self._server.start()
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": self.conninfo,
            **environment,
        }
        self.starts = 0
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._ended_at: dict[str, float] = {}
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="supervisor", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start everything."""
        self.data.mkdir(parents=True, exist_ok=True)
        self._keeper.start()

    def kill(self, name: str) -> bool:
        """`kill -9` one of COMMANDS; false when it doesn't run just now."""
        with self._guard:
            child = self._children.get(name)
            if child is None or child.poll() is not None:
                return False
            child.kill()
            return True

    def hurt_database(self, how: Database, chance: random.Random) -> bool:
        """`kill -9` of PostgreSQL's first process or of one of the others, or the end of a single session; false when
        there is none just now."""
        found = PidFile.read(Layout.of(self._server_folder).cluster)
        if found is None:
            return False
        if how == "postgres":
            victims = [found.pid]
        else:
            titles = _children_of(found.pid)
            victims = [pid for pid, title in titles.items() if how == "backend" or " starferry " in title]
        if not victims:
            return False
        with suppress(ProcessLookupError):
            os.kill(chance.choice(victims), signal.SIGTERM if how == "session" else signal.SIGKILL)
            return True
        return False

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of `starferry` beside the running processes."""
        command = [sys.executable, "-m", "api.cli", *arguments, "--data", str(self.data)]
        return subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )

    def is_ready(self) -> bool:
        """Whether all processes run and `/readyz` says yes."""
        with self._guard:
            children = dict(self._children)
        if children.keys() != COMMANDS.keys() or any(child.poll() is not None for child in children.values()):
            return False
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """End all of them in order."""
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for child in self._children.values():
            child.send_signal(signal.SIGTERM)
        for child in self._children.values():
            try:
                child.wait(timeout=15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._server.stop()

    def _keep(self) -> None:
        with self.log.open("ab") as log:
            while not self._stopping.is_set():
                try:
                    if self._server.running() is None:
                        self._server.start()
                    self.failure = None
                except Exception as error:  # told by who waits in vain
                    self.failure = error
                for name, command in COMMANDS.items():
                    with self._guard:
                        self._keep_one(name, command, log.fileno())
                self._stopping.wait(0.05)

    def _keep_one(self, name: str, command: str, log: int) -> None:
        child = self._children.get(name)
        if child is not None and child.poll() is None:
            return
        if child is not None and time.monotonic() - self._ended_at.setdefault(name, time.monotonic()) < RESTART_SECONDS:
            return
        self._ended_at.pop(name, None)
        port = ["--port", str(self._port)] if command == "api" else []
        self._children[name] = subprocess.Popen(
            [sys.executable, "-m", "api.cli", command, *port, "--data", str(self.data)],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self.starts += 1


@contextmanager
def installed(folder: Path, environment: Mapping[str, str]) -> Iterator[Installation]:
    """One that isn't started yet, and is stopped at the end."""
    installation = Installation(folder, environment)
    try:
        yield installation
    finally:
        installation.stop()


def eventually_ready(installation: Installation, seconds: float) -> bool:
    """Whether everything runs within so many seconds."""
    deadline = time.monotonic() + seconds
    while not (ready := installation.is_ready()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return ready


def _children_of(parent: int) -> dict[int, str]:
    """Process ids and titles."""
    found = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError, IndexError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                title = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(process.name)] = title
    return found
