"""A proxy between a client and a service that spoils what it is told to: answers get lost or changed on the way."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Headers = list[tuple[str, str]]
Spoil = Callable[[str, str, Headers], Headers | None]
"""From method, path and the headers of an answer to the headers that the client gets; None: the answer is lost."""

_HOP = {"connection", "transfer-encoding", "keep-alive"}


class Meddler:
    """Passes everything on, until `spoil` is set."""

    def __init__(self, target: str) -> None:
        self.spoil: Spoil = lambda method, path, headers: headers
        meddler, service = self, urlsplit(target)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self._body()
                connection = http.client.HTTPConnection(service.hostname or "", service.port, timeout=30)
                kept = {name: value for name, value in self.headers.items() if name.lower() not in _HOP | {"expect"}}
                kept["Content-Length"] = str(len(body))
                connection.request(self.command, self.path, body, kept)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
                spoilt = meddler.spoil(self.command, self.path, headers)
                if spoilt is None:
                    self.close_connection = True
                    return
                self.send_response_only(answer.status)
                for name, value in spoilt:
                    self.send_header(name, value)
                if "content-length" not in {name.lower() for name, _ in spoilt}:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def _body(self) -> bytes:
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                pieces = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    pieces.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(pieces)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - the library's names

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[Meddler]:
        thread = threading.Thread(target=self._server.serve_forever, name="meddler")
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
