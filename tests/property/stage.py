"""Workers that move one step at a time: whoever directs them says who goes on, and what happens to that one's step.

A step ends before every HTTP request (held at the emulator until its turn comes), before every call of a port, and, for
a folder, before every call of the operating system that changes something. So two workers can be interleaved in any
way, and each can meet a fault, or die, before and after whatever it does.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NoReturn
from unittest import mock

from application.ports.destination import Destination
from application.ports.event_log import Commit, EventLog
from application.ports.vault import Vault
from domain.errors import RetryLater, StarferryError
from tests.emulators.faults import Fault

Order = Literal["go", "cut", "lost", "500", "429", "half", "die", "die after"]
ORDERS: tuple[Order, ...] = ("go", "cut", "lost", "500", "429", "half", "die", "die after")
"""What a step may meet: nothing; a connection that closes before, or after, it was done; a provider in trouble or too
busy; a body of which a part arrives; the end of the worker before, or after, it was done."""
PATIENCE = 30.0
_HALF = 200_000


class Crash(BaseException):
    """The worker's process ended here. No code catches it."""


class Worker(threading.Thread):
    """One worker process with one piece of work. Its director calls `step` until it has ended."""

    def __init__(self, name: str, work: Callable[[Worker], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._turn, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._order: Order = "go"
        self.dead = self.ended = False
        self.error: BaseException | None = None
        self.story: list[str] = []
        """Its steps, and what each met: for whoever reads a failure."""

    def run(self) -> None:
        try:
            self._step("begin")
            self._work(self)
        except (Crash, RetryLater):
            pass  # a job that fails is only a nudge lost
        except BaseException as error:
            self.error = error
        finally:
            self.ended = True
            self._stopped.release()

    def wait(self) -> None:
        """Until it stands before its next step, or has ended."""
        assert self._stopped.acquire(timeout=PATIENCE), f"{self.name} hangs after {self.story[-3:]}"
        if self.error is not None:
            raise self.error

    def step(self, order: Order = "go") -> None:
        """Let it do its next step."""
        self._order = order
        self._turn.release()
        self.wait()

    def own(self, name: str, do: Callable[[], Any], fault: Callable[[], Exception]) -> Any:
        """A step that this process does by itself. `fault` is what it meets instead of a cut connection."""
        order = self._step(name)
        if order == "die":
            self._die()
        outcome = self._alive(do) if order in ("go", "lost", "die after") else None
        if order == "die after":
            self._die()
        if order != "go":
            raise fault()
        return outcome

    def request(self, method: str, path: str) -> Fault | None:
        """What becomes of a request, asked by the emulator."""
        if self.dead:
            return Fault(close="before")
        order = self._step(f"{method} {path[:60]}")
        self.dead = order in ("die", "die after")
        match order:
            case "go":
                return None
            case "cut" | "die":
                return Fault(close="before")
            case "lost" | "die after":
                return Fault(close="after")
            case "429":
                return Fault(status=429, headers={"Retry-After": "7"})
            case "half":
                return Fault(cut_body_at=_HALF)
            case _:
                return Fault(status=500)

    def _step(self, name: str) -> Order:
        if self.dead:
            raise Crash
        self._stopped.release()
        assert self._turn.acquire(timeout=PATIENCE), "nobody directs"
        order, self._order = self._order, "go"
        self.story.append(f"{name}: {order}")
        return order

    def _alive(self, do: Callable[[], Any]) -> Any:
        """What is done, unless the worker has died meanwhile: then nothing of its outcome matters."""
        try:
            return do()
        finally:
            if self.dead:
                raise Crash

    def _die(self) -> NoReturn:
        self.dead = True
        raise Crash


class Requests:
    """An emulator's FaultScript: every request waits here for the worker that is directed just now."""

    def __init__(self, directed: Callable[[], Worker | None]) -> None:
        self._directed = directed

    def take(self, method: str, path: str) -> Fault | None:
        worker = self._directed()
        return worker.request(method, path) if worker else None


class StagedDestination:
    """A destination as one worker has it."""

    def __init__(self, destination: Destination, worker: Worker) -> None:
        self._destination, self._worker = destination, worker

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._destination, name)
        if not callable(found) or name == "close":
            return found
        return lambda *given: self._worker.own(name, lambda: found(*given), lambda: RetryLater("A passing fault."))


class StagedLog:
    """An event log as one worker has it: an append may fail, and may have been stored all the same."""

    def __init__(self, log: EventLog, worker: Worker) -> None:
        self._log, self._worker = log, worker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def append(self, commit: Commit) -> int:
        position: int = self._worker.own("append", lambda: self._log.append(commit), _away)
        return position

    def append_all(self, commits: Sequence[Commit]) -> list[int | StarferryError]:
        results: list[int | StarferryError] = self._worker.own("append", lambda: self._log.append_all(commits), _away)
        return results


class StagedVault:
    """A vault as one worker has it."""

    def __init__(self, vault: Vault, worker: Worker) -> None:
        self._vault, self._worker = vault, worker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vault, name)

    def put(self, owner: str, secrets: Mapping[str, str]) -> int:
        version: int = self._worker.own("vault.put", lambda: self._vault.put(owner, secrets), _away)
        return version

    def put_each(self, secrets: Mapping[str, Mapping[str, str]]) -> None:
        self._worker.own("vault.put", lambda: self._vault.put_each(secrets), _away)

    def shred_each(self, owners: Collection[str]) -> None:
        self._worker.own("vault.shred", lambda: self._vault.shred_each(owners), _away)

    def shred(self, owner: str) -> None:
        self._worker.own("vault.shred", lambda: self._vault.shred(owner), _away)


@contextmanager
def staged_system() -> Iterator[None]:
    """The system calls of workers' own threads that change files are steps too."""

    def staged(name: str) -> Any:
        real = getattr(os, name)

        def call(*given: Any, **named: Any) -> Any:
            worker = threading.current_thread()
            looks = name == "open" and not given[1] & os.O_CREAT
            if not isinstance(worker, Worker) or looks:
                return real(*given, **named)
            return worker.own(name, lambda: real(*given, **named), lambda: OSError(errno.EIO, "injected"))

        return mock.patch.object(os, name, call)

    with (
        staged("open"), staged("pwrite"), staged("ftruncate"), staged("fsync"), staged("link"), staged("unlink"),
        staged("mkdir"),
    ):  # fmt: skip
        yield


def _away() -> RetryLater:
    return RetryLater("The database can't be reached at the moment.")
