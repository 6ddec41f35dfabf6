"""The line between one worker and the database, which can go dead."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Line:
    """Passes connections on to a server's unix socket. `conninfo` is the server's, by way of this line.

    While it is dead the server has seen its sessions end, and with them the worker's locks; the worker hears nothing,
    on connections that it has and on new ones.
    """

    def __init__(self, conninfo: str) -> None:
        there = conninfo_to_dict(conninfo)
        self._server = Path(str(there["host"])) / f".s.PGSQL.{there['port']}"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        port = self._listener.getsockname()[1]
        self.conninfo = make_conninfo(conninfo, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
        self._guard = threading.Lock()
        self._dead = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._unheard: list[socket.socket] = []
        threading.Thread(target=self._accept, name="line", daemon=True).start()

    def cut(self) -> int:
        """From now on it is dead; how many connections were cut off."""
        with self._guard:
            self._dead = True
            cut, self._pairs = self._pairs, []
            self._unheard += [near for near, _ in cut]
        for _, far in cut:
            _end(far)
        return len(cut)

    def mend(self) -> None:
        """New connections come through again; those that were cut off end."""
        with self._guard:
            self._dead = False
            ended, self._unheard = self._unheard, []
        for near in ended:
            _end(near)

    def close(self) -> None:
        """End everything."""
        self.cut()
        self.mend()
        _end(self._listener)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._guard:
                if self._dead:
                    self._unheard.append(near)
                    continue
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self._server))
                self._pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        with self._guard:
            mine = [pair for pair in self._pairs if source in pair]
            self._pairs = [pair for pair in self._pairs if source not in pair]
        for one in mine:  # none of a line that is dead: the near end hears nothing of it
            for end in one:
                _end(end)


@contextmanager
def running_line(conninfo: str) -> Iterator[Line]:
    line = Line(conninfo)
    try:
        yield line
    finally:
        line.close()


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
