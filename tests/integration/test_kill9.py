"""The whole program under random kill -9: nothing acknowledged is lost, nothing arrives twice, nothing stays stuck."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from adapters.fits.night import make_night
from tests.emulators.gcs import running_gcs
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("KILLS", "8"))
FILES = 64
DEADLINE_SECONDS = 150


def run_cli(data: Path, *arguments: str, environment: dict[str, str], stdin: str = "") -> str:
    command = [sys.executable, "-m", "api.cli", *arguments, "--data", str(data)]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, input=stdin, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


class Program:
    """`starferry up`, which may be killed and started again."""

    def __init__(self, data: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._data = data
        self._environment = environment
        self._log = (data.parent / "up.log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "up", "--port", str(self.port), "--data", str(self._data)],
            env=self._environment,
            cwd=ROOT,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def victims(self) -> dict[str, list[int]]:
        """Process ids of what can be killed, by role, found in /proc by the data folder in their command line."""
        found: dict[str, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                text = b" ".join(words).decode(errors="replace")
                if str(self._data) not in text:
                    continue
                for role in ("up", "api", "projections", "worker"):
                    if f"api.cli {role} " in text:
                        found.setdefault(role, []).append(int(entry.name))
                if words[0].endswith(b"/postgres") and b"-D" in words:
                    found.setdefault("postgres", []).append(int(entry.name))
        return found

    def kill(self, role: str) -> bool:
        pids = self.victims().get(role, [])
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if role == "up" and self.process:
            self.process.wait()
            self.start()
        return bool(pids)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for pids in self.victims().values():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._log.close()


class Client:
    """A user's script that tries again until it gets an answer."""

    def __init__(self, url: str, token: str, deadline: float) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Token {token}"
        self._deadline = deadline

    def ask(self, call: Callable[[], requests.Response], good: set[int]) -> requests.Response:
        while time.monotonic() < self._deadline:
            with contextlib.suppress(requests.RequestException):
                answer = call()
                if answer.status_code in good:
                    return answer
                # a token isn't known before the read models have it
                assert answer.status_code >= 500 or answer.status_code == 401, answer.text
            time.sleep(0.05)
        raise AssertionError("the program didn't come back")

    def get(self, path: str) -> Any:
        return self.ask(lambda: self._session.get(self._url + path, timeout=10), {200}).json()

    def post(self, path: str, body: Any, good: set[int]) -> requests.Response:
        return self.ask(lambda: self._session.post(self._url + path, json=body, timeout=10), good)

    def ingest(self, path: Path) -> None:
        def call() -> requests.Response:
            with path.open("rb") as source:
                return self._session.post(f"{self._url}/api/v1/ingest", files={"file": source}, timeout=20)

        self.ask(call, {201, 409})


@pytest.fixture
def program(tmp_path: Path) -> Iterator[tuple[Program, Path, dict[str, str], Any]]:
    data = tmp_path / "data"
    delivered = tmp_path / "delivered"
    delivered.mkdir()
    with running_gcs(tmp_path / "gcs") as gcs:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("STARFERRY_")},
            "PYTHONPATH": str(ROOT),
            "STARFERRY_FOLDER_ROOTS": str(delivered),
            "STARFERRY_GCS_URL": gcs.url,
            "STARFERRY_RETRY_SCHEDULE": "0.5,1,1",
            "STARFERRY_SWEEP_SECONDS": "1",
        }
        running = Program(data, environment)
        try:
            yield running, delivered, environment, gcs
        finally:
            running.stop()


@pytest.mark.timeout(DEADLINE_SECONDS + 120)
def test_s49_s50_s51_random_kills_lose_nothing_double_nothing_and_leave_nothing_stuck(
    program: tuple[Program, Path, dict[str, str], Any], tmp_path: Path
) -> None:
    running, delivered, environment, gcs = program
    data = tmp_path / "data"
    run_cli(data, "user", "create", "ops", "--superuser", environment=environment)
    token = run_cli(data, "token", "create", "ops", environment=environment).strip()
    night = make_night(tmp_path / "night", frames=FILES, size=64)
    running.start()
    deadline = time.monotonic() + DEADLINE_SECONDS
    client = Client(running.url, token, deadline)
    account = gcs.emulator.new_account("ferry@example.iam.gserviceaccount.com")
    gcs.emulator.create_bucket("copies")
    configs = [
        client.post("/api/v1/storage-configs", body, {201}).json()["id"]
        for body in (
            {"provider": "folder", "display_name": "folder", "file_content": "raw_and_calibrated",
             "credentials": {"root": str(delivered)}},
            {"provider": "google_cloud_storage", "display_name": "bucket", "file_content": "raw_and_calibrated",
             "credentials": {"bucket": "copies", "service_account_json": json.dumps(account)}},
        )
    ]  # fmt: skip

    def observe() -> None:
        for path in night:
            client.ingest(path)

    observer = threading.Thread(target=observe)
    observer.start()
    chance = random.Random(20261120)
    killed: Counter[str] = Counter()
    roles = ["api", "projections", "worker", "postgres", "up"]
    submitted: set[int] = set()
    while sum(killed.values()) < KILLS or observer.is_alive():
        assert time.monotonic() < deadline
        for frame in client.get("/frames/?limit=1000")["results"]:
            number = frame["observation_id"]
            if number is not None and number not in submitted:
                body = {"name": str(number), "observation_id": number, "destinations": configs}
                client.post("/api/v1/observations", body, {201, 409})
                submitted.add(number)
        if sum(killed.values()) < KILLS:
            role = chance.choice([role for role in roles if killed[role] == min(killed[name] for name in roles)])
            killed[role] += running.kill(role)
        time.sleep(chance.uniform(0.2, 1.0))
    observer.join()

    frames = client.get("/frames/?limit=1000&force_count=true")
    assert frames["count"] == len(night), "an acknowledged file was lost"
    for frame in frames["results"]:
        number = frame["observation_id"]
        client.post(
            "/api/v1/observations", {"name": str(number), "observation_id": number, "destinations": configs}, {201, 409}
        )

    expected = 2 * len(night)
    while True:
        rows = client.get("/api/v1/transfers?limit=1000")["results"]
        statuses = Counter(row["status"] for row in rows)
        if statuses["completed"] == expected:
            break
        assert time.monotonic() < deadline, (statuses, [row["error"] for row in rows if row["error"]][:5])
        time.sleep(0.2)
    assert len(rows) == expected

    copies = [path for path in delivered.rglob("*") if path.is_file()]
    assert len(copies) == len(night), "a file is missing in the folder, or there twice"
    ((objects,),) = gcs.emulator.store.run("SELECT count(*) FROM objects WHERE bucket = 'copies'")
    assert objects == len(night), "an object is missing in the bucket, or there twice"
    running.stop()
    told = [json.loads(line) for line in run_cli(
        data, "events", "list", "--limit", "100000", "--json", environment=environment).splitlines()]  # fmt: skip
    completions = Counter(event["stream"] for event in told if event["event"] == "transfer.completed")
    assert len(completions) == expected
    assert set(completions.values()) == {1}, "a transfer completed twice"
    verified = run_cli(data, "projections", "rebuild", "all", "--verify", environment=environment)
    assert "DIFFERENT" not in verified
