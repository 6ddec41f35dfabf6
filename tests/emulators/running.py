"""An emulator that serves in a thread of this process, for tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

from tests.emulators.faults import Fault
from tests.emulators.http_server import EmulatorServer, Request, Response


class _Store(Protocol):
    def close(self) -> None: ...


class Emulator(Protocol):
    """What answers requests, and keeps its state in a store."""

    @property
    def store(self) -> _Store:
        """What is closed at the end."""
        ...

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        ...


E = TypeVar("E", bound=Emulator)


class Running(Generic[E]):
    """A running emulator: its address, its faults, and what it was asked."""

    def __init__(self, emulator: E, server: EmulatorServer) -> None:
        self.emulator = emulator
        self.server = server
        self.url = server.url

    def fault(self, **what: Any) -> Fault:
        """Script a Fault."""
        fault = Fault(**what)
        self.server.faults.add(fault)
        return fault

    def requests(self, method: str = "", path: str = "") -> list[dict[str, Any]]:
        """What was asked so far, of that method and with a path that the regular expression finds."""
        return [
            one for one in self.server.log if (not method or one["method"] == method) and re.search(path, one["path"])
        ]


@contextmanager
def running(emulator: E, port: int = 0) -> Iterator[Running[E]]:
    """Serve on loopback until the block ends."""
    server = EmulatorServer(emulator, port)
    try:
        with server.running():
            yield Running(emulator, server)
    finally:
        emulator.store.close()
