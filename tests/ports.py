"""Ports for programs that tests start."""

from __future__ import annotations

import random
import socket

# Linux gives outgoing connections, and servers that don't mind, the ports from 32768 on. Below them, a program that is
# killed and started again finds its port as it left it.
CANDIDATES = range(20_000, 32_000)
TRIES = 100


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now, and that the system gives nobody by itself.

    Raises:
        OSError: of a hundred ports, none was free.
    """
    chosen = random.SystemRandom()
    for _ in range(TRIES):
        port = chosen.choice(CANDIDATES)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port for a test's program")
