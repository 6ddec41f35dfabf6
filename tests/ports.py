"""Ports for programs that tests start."""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack

# Linux gives outgoing connections, and servers that don't mind, the ports from 32768 on. Below them, a program that is
# killed and started again finds its port as it left it.
# What is chosen is bound only later, so no two processes of the suite choose from the same ones, nor does one twice.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
CANDIDATES = range(20_000 + _WORKER, 32_000, 8)
TRIES = 100
_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now, and that the system gives nobody by itself.

    Raises:
        OSError: of a hundred ports, none was free.
    """
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many of them. Raises OSError as free_port does."""
    with ExitStack() as probes:
        return [_bound(probes) for _ in range(count)]


def _bound(probes: ExitStack) -> int:
    """A port that stays taken as long as `probes` do."""
    chosen = random.SystemRandom()
    for _ in range(TRIES):
        port = chosen.choice(CANDIDATES)
        if port in _given:
            continue
        try:
            probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            continue
        _given.add(port)
        return port
    raise OSError("no free port for a test's program")
