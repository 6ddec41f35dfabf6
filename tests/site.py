"""A running Starferry for tests: API on loopback, read models, policies and a worker, as threads of this process."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import httpx
import msgspec
import uvicorn

from api.app import create_app
from api.bootstrap import Core, open_core
from api.database import prepare
from api.http_server import HttpServer
from api.settings import Settings
from application.commands.accounts import create_token, create_user
from application.policies.engine import PolicyEngine
from application.ports.jobs import NONE_KNOWN
from domain.event import Cause
from projections.awaited import CHANNEL as AWAITED
from projections.awaited import TELL

T = TypeVar("T")
PROPOSAL = "P-OWN"
"""The proposal of the site's ordinary user."""
CAUSE = Cause(actor="test", via="cli")
LEEWAY = 0.02
"""Seconds after a transfer is due: timers and the log don't share a clock tick."""


class CarryingJobs:
    """A Jobs that carries each transfer in this process the moment it is due."""

    def __init__(self) -> None:
        self.carry: Callable[[str], None] = lambda _: None
        self.send: Callable[[str], None] = lambda _: None
        self.paused = threading.Event()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="carry")
        self._timers: list[threading.Timer] = []
        self._closed = False

    def nudge(
        self,
        transfers: Sequence[tuple[str, datetime | None]],
        sizes: Mapping[str, int] = NONE_KNOWN,
    ) -> None:
        self._plan(lambda transfer: self.carry(transfer), transfers)

    def nudge_notices(self, notices: Sequence[tuple[str, datetime | None]]) -> None:
        self._plan(lambda notice: self.send(notice), notices)

    def _plan(self, work: Callable[[str], None], wanted: Sequence[tuple[str, datetime | None]]) -> None:
        for name, at in wanted:
            wait = (at - datetime.now(UTC)).total_seconds() + LEEWAY if at else 0.0
            if wait <= LEEWAY:
                self._submit(work, name)
                continue
            timer = threading.Timer(wait, self._submit, (work, name))
            timer.daemon = True
            self._timers.append(timer)
            timer.start()

    def close(self) -> None:
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _submit(self, work: Callable[[str], None], name: str) -> None:
        if not self._closed and not self.paused.is_set():
            self._threads.submit(work, name)


class Site:
    """What tests ask of it. Every response that its clients get is in `answers`."""

    def __init__(self, core: Core, url: str, jobs: CarryingJobs, engine: PolicyEngine, stack: ExitStack) -> None:
        self.core = core
        self.url = url
        self.jobs = jobs
        self.answers: list[httpx.Response] = []
        self._engine = engine
        self._stack = stack
        self.admin_token = self.new_user("admin", superuser=True)
        self.user_token = self.new_user("alice", proposals=(PROPOSAL,))
        self.admin = self.client(self.admin_token)
        self.user = self.client(self.user_token)
        self.anonymous = self.client()

    def new_user(self, name: str, *, superuser: bool = False, proposals: tuple[str, ...] = ()) -> str:
        """Create a user and return a token."""
        core, token = self.core, secrets.token_hex(20)
        create_user(core.log, core.passwords, core.clock, CAUSE, name, is_superuser=superuser, proposals=proposals)
        create_token(core.log, core.clock, CAUSE, name, token)
        return token

    def client(self, token: str | None = None, *, url: str = "", **headers: str) -> httpx.Client:
        """A client in the name of a token's user, open until the site closes; `headers` with `_` for `-`."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers |= {"Authorization": f"Token {token}"} if token else {}
        client = httpx.Client(base_url=url or self.url, headers=headers, timeout=20, trust_env=False)
        client.event_hooks["response"].append(self._remember)
        return self._stack.enter_context(client)

    def events(self) -> int:
        """How many events there are."""
        return self.core.log.head()

    def files(self) -> list[Path]:
        """All files in the store, those that are just arriving among them."""
        folders = os.walk(self.core.settings.data / "files")  # which doesn't mind those that are just being removed
        return sorted(Path(folder, name) for folder, _, names in folders for name in names if name != "lock")

    def settle(self) -> None:
        """Wait until read models and policies have seen all events, those that the policies write included."""
        head = -1
        while head != (head := self.events()):
            with self.core.pool.connection() as connection:
                connection.execute(TELL)
            eventually(lambda: self._least_position() >= head, "the read models or the policies are behind")

    def failures(self) -> list[str]:
        """Read models that stopped, and events that a policy set aside."""
        with self.core.pool.connection() as connection:
            rows = connection.execute(
                "SELECT name || ': ' || failure FROM starferry.projection WHERE failure <> '' "
                "UNION ALL SELECT 'dead letter of ' || consumer FROM starferry.dead_letter"
            )
            return [row[0] for row in rows]

    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Record a frame by `POST /frames/` and return the answer."""
        answer = self.admin.post("/frames/", json=body)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def ingest(self, data: bytes, filename: str, **fields: str) -> dict[str, Any]:
        """Ingest a file by `POST /api/v1/ingest` and return the frame."""
        answer = self.admin.post("/api/v1/ingest", files={"file": (filename, data)}, data=fields)
        assert answer.status_code == 201, answer.text
        frame: dict[str, Any] = answer.json()["frame"]
        return frame

    def _least_position(self) -> int:
        with self.core.pool.connection() as connection:
            row = connection.execute("SELECT min(position) FROM starferry.projection WHERE failure = ''").fetchone()
        read_models = row[0] or 0 if row else 0
        return min(read_models, *self._engine.positions().values())

    def sweep(self) -> dict[str, int]:
        """What a worker does now and then."""
        return msgspec.structs.replace(self.core.sweep(), jobs=self.jobs).run()

    def _remember(self, answer: httpx.Response) -> None:
        answer.read()
        self.answers.append(answer)


@contextmanager
def running_site(
    directory: Path, conninfo: str, environment: Mapping[str, str] | None = None, *, prepared: bool = False
) -> Iterator[Site]:
    """Run everything on the database of `conninfo`, with its data below `directory`, until the block ends.

    `environment` holds further settings. With `prepared` the database is up to date already.
    """
    if not prepared:
        prepare(conninfo)
    settings = Settings({"DATABASE_URL": conninfo, **(environment or {})}, data=directory)
    jobs = CarryingJobs()
    with ExitStack() as stack:
        for waits in ("api.read_gate", "projections.lookups"):  # also when the machine stands still for a while
            stack.enter_context(mock.patch(f"{waits}.WAIT_SECONDS", 15.0))
        core = stack.enter_context(open_core(settings, conninfo))
        ferry = core.ferry("test-worker")

        def carry(transfer: str) -> None:
            core.jobs.nudge([(transfer, None)])
            ferry.go_on()

        jobs.carry = carry
        working = msgspec.structs.replace(core, jobs=jobs)
        jobs.send = working.send_notice
        engine = stack.enter_context(_running_followers(working))
        stack.callback(jobs.close)
        url = stack.enter_context(served(settings, conninfo))
        yield Site(core, url, jobs, engine, stack)


@contextmanager
def served(settings: Settings, conninfo: str) -> Iterator[str]:
    """One API process's application in a thread; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(settings, conninfo)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=75,
    )
    server = HttpServer(app, config)
    thread = threading.Thread(target=server.run, args=([listener],), name="api")
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive(), "the API didn't start")
        assert server.started
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def eventually(condition: Callable[[], T], complaint: str, *, seconds: float = 60.0) -> T:
    """The first truthy value of `condition`, or a failed test."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{complaint} within {seconds} s (last: {value!r})"
        time.sleep(0.01)
    return value


@contextmanager
def _running_followers(core: Core) -> Iterator[PolicyEngine]:
    """Read models and policies, woken by the log."""
    runner, engine, wakeup = core.projection_runner(), core.policy_engine(), core.wakeup()
    wakeup.on_growth(runner.wake)
    wakeup.on_growth(engine.wake)
    wakeup.on_message(AWAITED, lambda _: runner.hurry())
    threads = [
        threading.Thread(target=runner.run, name="projections"),
        threading.Thread(target=engine.run, name="policies"),
    ]
    outbox = core.outbox_engine()
    apart = [core.notice_engine(), *([outbox] if outbox else [])]
    for other in apart:
        wakeup.on_growth(other.wake)
        threads.append(threading.Thread(target=other.run, name="apart"))
    wakeup.start()
    for thread in threads:
        thread.start()
    try:
        yield engine
    finally:
        wakeup.stop()
        runner.stop()
        engine.stop()
        for other in apart:
            other.stop()
        for thread in threads:
            thread.join(timeout=10)
