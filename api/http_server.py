"""The HTTP server of a process. When it stops, endless answers end first: it waits for all that is being sent."""

from __future__ import annotations

import gc
import socket
import sys
from contextlib import suppress

import uvicorn
from litestar import Litestar

from domain.errors import Misconfigured

BACKLOG = 2048
"""Connections that may wait to be accepted, as uvicorn has it."""
ALLOCATIONS = 20_000
"""Objects, more than were freed, after which the collector looks through the newest."""


def shared_socket(host: str, port: int) -> socket.socket:
    """A socket at an address where other processes of the same user may have theirs: the kernel gives each connection
    to one of them. Raises Misconfigured when somebody else has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=True)
    except OSError as error:
        raise Misconfigured(
            f"Port {port} on {host} can't be shared ({error.strerror}); choose another --port, or start whoever has "
            "it with --share-port too."
        ) from error


class HttpServer(uvicorn.Server):
    """uvicorn for one application."""

    def __init__(self, app: Litestar, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn; and then the collector of cycles leaves alone what the start has made. A page makes thousands of
        tuples without a cycle; to look through everything for each few pages took up to a tenth of its time."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(ALLOCATIONS, 20, 20)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn, which knows nothing of answers without an end."""
        serving = self._app.state.get("serving")
        if serving is not None:
            serving.feed.send_away()
            serving.events.send_away()
        await super().shutdown(sockets)

    def run_alone(self, listening: socket.socket | None = None) -> None:
        """Serve until a signal, from a socket of its own or a given one; exit with uvicorn's code when it couldn't
        begin."""
        with suppress(KeyboardInterrupt):
            self.run(None if listening is None else [listening])
        if not self.started:
            sys.exit(3)
