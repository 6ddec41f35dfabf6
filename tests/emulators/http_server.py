"""A small threaded HTTP/1.1 server for emulators: streamed bodies, one write a reply, scripted faults, a request log.

An emulator is a callable from Request to Response. Everything below `/_emulator/` that it doesn't take itself is
answered here: `GET /_emulator/log`, `DELETE /_emulator/log`, `POST /_emulator/faults`, `DELETE /_emulator/faults`.
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, urlsplit

from tests.emulators.faults import Fault, FaultScript

BLOCK = 1 << 20
_DRAIN_LIMIT = 64 << 20


class BodyCutOff(Exception):
    """The client, or a fault, ended the connection before the body was complete."""


class Body:
    """A request's body, read as it comes in; knows Content-Length and chunked transfer."""

    def __init__(self, source: BinaryIO, length: int | None, *, chunked: bool = False, cut_at: int | None = None):
        self._source = source
        self._left = 0 if chunked else (length or 0)
        self._chunked = chunked
        self._cut_at = cut_at
        self.length = length
        self.received = 0

    def read(self, limit: int = BLOCK) -> bytes:
        """Up to `limit` bytes, empty at the end. Raises BodyCutOff."""
        if self._cut_at is not None:
            if self.received >= self._cut_at:
                raise BodyCutOff
            limit = min(limit, self._cut_at - self.received)
        if self._chunked and self._left == 0:
            self._next_chunk()
        if self._left == 0:
            return b""
        data = self._source.read(min(limit, self._left))
        if not data:
            raise BodyCutOff
        self._left -= len(data)
        self.received += len(data)
        if self._chunked and self._left == 0:
            self._source.readline()
        return data

    def read_all(self, limit: int = 8 << 20) -> bytes:
        parts = []
        while data := self.read():
            parts.append(data)
            limit -= len(data)
            if limit < 0:
                raise BodyCutOff
        return b"".join(parts)

    def drain(self) -> bool:
        """Read what is left so that the connection can go on. False when it is too much for that."""
        while self.received < _DRAIN_LIMIT:
            if not self.read():
                return True
        return False

    def _next_chunk(self) -> None:
        line = self._source.readline()
        if not line:
            raise BodyCutOff
        self._left = int(line.split(b";")[0], 16)
        if self._left == 0:
            self._chunked = False
            while self._source.readline() not in (b"\r\n", b"\n", b""):
                pass


@dataclass
class Request:
    """`path` is as sent, still percent-encoded; `persist_limit` is the most bytes that a scripted fault lets stay."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Message
    body: Body
    base: str
    persist_limit: int | None = None

    def arg(self, name: str) -> str | None:
        return self.query[name][0] if name in self.query else None


@dataclass
class Response:
    """`body` in full, or `length` bytes of `file` from `start`."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    file: Path | None = None
    start: int = 0
    length: int = 0

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Response:
        # Without a charset: one SDK compares this header exactly.
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, {"Content-Type": "application/json", **named}, json.dumps(value).encode())


Emulator = Callable[[Request], Response]


class EmulatorServer(ThreadingHTTPServer):
    """Serves one emulator on loopback, a thread a connection. `url` has no final slash."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, emulator: Emulator, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.emulator = emulator
        self.faults = FaultScript()
        self.log: list[dict[str, Any]] = []
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def record(self, entry: dict[str, Any]) -> None:
        with self._lock:
            self.log.append({"number": len(self.log) + 1, **entry})

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that the other side dropped is no news."""

    def stop(self) -> None:
        """Stop serving and close every connection."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            for connection in list(self._connections):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def running(self) -> Iterator[EmulatorServer]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stop()
            thread.join(timeout=10)


class Handler(BaseHTTPRequestHandler):
    """One connection's requests. `scheme` is what the client thinks that it speaks."""

    protocol_version = "HTTP/1.1"
    scheme = "http"
    disable_nagle_algorithm = True
    rbufsize = 1 << 16
    server: EmulatorServer

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        fault = None if parts.path.startswith("/_emulator/") else self.server.faults.take(self.command, self.path)
        length = int(self.headers["Content-Length"]) if "Content-Length" in self.headers else None
        request = Request(
            method=self.command,
            path=parts.path,
            query=_query(parts.query),
            headers=self.headers,
            body=Body(
                self.rfile,  # type: ignore[arg-type]
                length,
                chunked=self.headers.get("Transfer-Encoding", "").lower() == "chunked",
                cut_at=fault.cut_body_at if fault else None,
            ),
            base=f"{self.scheme}://{self.headers.get('Host', '')}",
            persist_limit=fault.persist if fault else None,
        )
        response: Response | None = None
        try:
            response = self._answer(request, fault)
            if response is None or not request.body.drain():
                self.close_connection = True
        except (BodyCutOff, OSError):
            response, self.close_connection = None, True
        # Before the reply, so that whoever has the reply finds the request in the log.
        self._record(request, response.status if response else None, fault)
        if response is not None and not self.server.stopping.is_set():
            try:
                self._send(request, response)
            except OSError:
                self.close_connection = True

    def _answer(self, request: Request, fault: Fault | None) -> Response | None:
        """What to reply; None closes the connection without a word."""
        if fault is not None:
            if fault.stall and self.server.stopping.wait(fault.stall):
                return None
            if fault.close == "before":
                return None
            if fault.status is not None:
                return Response(fault.status, dict(fault.headers), fault.body.encode())
        response = self._own(request) or self.server.emulator(request)
        return None if fault is not None and fault.close == "after" else response

    def _own(self, request: Request) -> Response | None:
        match request.method, request.path:
            case "GET", "/_emulator/log":
                return Response.json({"requests": list(self.server.log)})
            case "DELETE", "/_emulator/log":
                self.server.log.clear()
            case "POST", "/_emulator/faults":
                self.server.faults.add(Fault(**json.loads(request.body.read_all())))
            case "DELETE", "/_emulator/faults":
                self.server.faults.clear()
            case _:
                return None
        return Response.json({})

    def _send(self, request: Request, response: Response) -> None:
        length = response.length if response.file else len(response.body)
        lines = [f"HTTP/1.1 {response.status} {self.responses.get(response.status, ('',))[0] or 'Other'}"]
        headers = {"Content-Length": str(length), **response.headers}
        if self.close_connection:
            headers["Connection"] = "close"
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        bodiless = request.method == "HEAD"
        self.connection.sendall(head if bodiless or response.file else head + response.body)
        if response.file and not bodiless:
            with response.file.open("rb") as file:
                self.connection.sendfile(file, response.start, length) if length else None

    def _record(self, request: Request, status: int | None, fault: Fault | None) -> None:
        self.server.record(
            {
                "method": request.method,
                "path": self.path,
                "content_range": request.headers.get("Content-Range"),
                "content_length": request.headers.get("Content-Length"),
                "body_bytes": request.body.received,
                "status": status,
                "fault": fault is not None,
            }
        )

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the request log is for assertions, not for the terminal."""

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815


def _query(text: str) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    return query
