"""Starts the processes of `up`, keeps them running, and stops them together."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import requests
import structlog

from adapters.ingest_metrics import FOLDER
from api.cli.stopping import Stop
from api.settings import Settings
from domain.errors import Misconfigured, RetryLater, StarferryError

logger = structlog.get_logger()

START_SECONDS = 60.0
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


@contextlib.contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the data folder. Raises Misconfigured when another `up` or `demo` has it."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            other = file.read().strip() or "unknown"
            raise Misconfigured(
                f"Another Starferry (process {other}) is running on {data}; stop it first, or choose another --data."
            ) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


class Supervisor:
    """The children of one `up`: API, projections and policies, worker. One that ends is started again."""

    def __init__(self, settings: Settings, host: str, port: int, keep_database: Callable[[], None]) -> None:
        self._keep_database = keep_database
        self._host, self._port = host, port
        self.address = f"http://{host}:{port}"
        self._settings = settings
        self._apis = [f"api {number}" for number in range(1, settings["STARFERRY_API_PROCESSES"] + 1)]
        api = ["api", "--host", host, "--port", str(port), *(["--share-port"] if len(self._apis) > 1 else [])]
        self._commands = {**dict.fromkeys(self._apis, api), "projections": ["projections"], "worker": ["worker"]}
        self._counts = settings.data / "metrics"
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self.stopping = Stop()

    def __enter__(self) -> Supervisor:
        self.stopping.on_signals()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop()

    def start(self) -> None:
        """Start all and return when the API is ready. Raises RetryLater when it doesn't get there in a minute."""
        self._must_be_free()
        shutil.rmtree(self._counts, ignore_errors=True)  # counts begin anew with each start
        if len(self._apis) > 1:
            self._counts.mkdir()
        for name in self._commands:
            self._launch(name)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not self.stopping.is_set():
            for ended in (self._children[name].poll() for name in self._apis):
                if ended is not None and ended > 0:
                    raise Misconfigured(f"An API process ended at once (exit code {ended}); the lines above say why.")
            self._keep()
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{self.address}/readyz", timeout=2).status_code == 200:
                    return
            self.stopping.wait(0.05)
        if not self.stopping.is_set():
            raise RetryLater(f"The API wasn't ready after {START_SECONDS:.0f} seconds.")

    def wait(self) -> None:
        """Until SIGTERM or SIGINT."""
        while not self.stopping.wait(0.5):
            self._keep()

    def _keep(self) -> None:
        """A child that has ended is started again, at most twice a second, and so is the database."""
        try:
            self._keep_database()
        except StarferryError as error:
            logger.error("the database can't be started", reason=str(error))
        for name, child in self._children.items():
            if child.poll() is not None:
                logger.error("process ended; starting it again", process=name, exit_code=child.returncode)
                self.stopping.wait(0.5)
                self._launch(name)

    def _must_be_free(self) -> None:
        """Had another program the port, it would answer for us."""
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((self._host, self._port))
        except OSError as error:
            raise Misconfigured(
                f"Port {self._port} on {self._host} can't be used ({error.strerror}); choose another --port."
            ) from error

    def _launch(self, name: str) -> None:
        command = [sys.executable, "-m", "api.cli", *self._commands[name], "--data", str(self._settings.data)]
        root = Path(__file__).resolve().parents[2]
        counting = {FOLDER: str(self._counts)} if len(self._apis) > 1 and name in self._apis else {}
        self._children[name] = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(root), **counting},
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
        )

    def _stop(self) -> None:
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + 10
        for child in self._children.values():
            try:
                child.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _die_with_parent() -> None:
    """Even a supervisor that is killed leaves no children behind (prctl(2), Linux)."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()  # Ctrl-C goes to the supervisor alone, which stops the children in order
