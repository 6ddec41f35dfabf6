"""One Starferry on a data folder: its durable embedded database, and its processes by the real command line."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
import requests

from adapters.embedded_postgres import EmbeddedPostgres
from api.database import prepare
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 300.0
USER = "benchmark"


class Finished(NamedTuple):
    """What a command printed, how long it took in seconds, and the most bytes of memory it (or a child) had."""

    output: str
    seconds: float
    peak: int


class Installation:
    """`conninfo` is valid between `open_database` and `close_database`. Logs of processes are in `logs`."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.logs = data / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        data.chmod(0o711)  # the database may run as another user, who has to pass
        self._server: EmbeddedPostgres | None = None
        self._conninfo = ""

    @property
    def conninfo(self) -> str:
        """Of the running database; started when it isn't."""
        if self._server is None:
            self._server = EmbeddedPostgres(self.data / "postgres")
            self._conninfo = self._server.start()
            prepare(self._conninfo)
        return self._conninfo

    def close_database(self) -> None:
        """Stop it, unless another process uses it."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def postmaster(self) -> int:
        """The process id of the database server."""
        with psycopg.connect(self.conninfo) as connection:
            row = connection.execute("SELECT pg_backend_pid()").fetchone()
            assert row is not None
            return int(Path("/proc", str(row[0]), "stat").read_text().rpartition(")")[2].split()[1])

    def command(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Finished:
        """Run `starferry …` to its end. Raises RuntimeError when it fails."""
        begun = time.perf_counter()
        with (self.logs / "commands.log").open("ab") as log:
            child = subprocess.Popen(
                self._argv(arguments),
                cwd=ROOT,
                env=self._environment(environment),
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert child.stdout is not None
        with child.stdout:
            output = child.stdout.read().decode()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise RuntimeError(f"starferry {arguments[0]} failed; see {self.logs}.")
        return Finished(output, time.perf_counter() - begun, used.ru_maxrss * 1024)

    @contextmanager
    def process(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """`starferry …` for as long as the block runs; one that ends by itself before is an error."""
        with (self.logs / f"{arguments[0]}.log").open("ab") as log:
            child = subprocess.Popen(
                self._argv(arguments), cwd=ROOT, env=self._environment(environment), stdout=log, stderr=log
            )
        try:
            yield child
            if child.poll() is not None:
                raise RuntimeError(f"starferry {arguments[0]} ended by itself; see {self.logs}.")
        finally:
            child.terminate()
            try:
                child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    @contextmanager
    def api(self, environment: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
        """The address and process id of an API process that is ready."""
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        with self.process("api", "--port", str(port), environment=environment) as child:
            wait_ready(f"{address}/healthz", child)
            yield address, child.pid

    def token(self) -> str:
        """A superuser's token; the user is made when it isn't there."""
        kept = self.data / "token"
        if not kept.exists():
            with contextlib.suppress(RuntimeError):
                self.command("user", "create", USER, "--superuser")
            kept.touch(mode=0o600)
            kept.write_text(self.command("token", "create", USER).output.strip())
        return kept.read_text()

    def head(self) -> int:
        """The highest position of the log."""
        return self._number("SELECT coalesce(max(notification_id), 0) FROM starferry.starferry_events")

    def projected(self) -> int:
        """How far all read models have come."""
        return self._number("SELECT coalesce(min(position), 0) FROM starferry.projection")

    def frames(self) -> int:
        """Frames in the read model."""
        return self._number("SELECT count(*) FROM read_frames.frame")

    def wait_projected(self, seconds: float = 600.0) -> None:
        """Until the read models have all of the log. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while self.projected() < self.head():
            if time.monotonic() > deadline:
                raise TimeoutError("The read models didn't catch up.")
            time.sleep(0.1)

    def _number(self, statement: str) -> int:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def _argv(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "api.cli", *arguments, "--data", str(self.data)]

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STARFERRY_")}
        return {**kept, "STARFERRY_LOG_LEVEL": "warning", "PYTHONPATH": str(ROOT), **(more or {})}


def wait_ready(url: str, child: subprocess.Popen[bytes]) -> None:
    """Until a URL answers with 200. Raises RuntimeError when the process ends, TimeoutError after five minutes."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise RuntimeError(f"The process ended at once, with exit code {child.returncode}.")
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=2).status_code == 200:
                return
        time.sleep(0.02)
    raise TimeoutError(f"{url} wasn't ready within five minutes.")


def new_name(prefix: str) -> str:
    """A name that nothing has yet."""
    return f"{prefix}{secrets.token_hex(4)}"
