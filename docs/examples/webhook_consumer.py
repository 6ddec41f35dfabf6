#!/usr/bin/env python3
"""Takes Starferry's webhooks and keeps each once in an SQLite database. Python's standard library is all it needs.

    export STARFERRY_WEBHOOK_SECRET=whsec-…       # shown once, when the webhook is made
    python webhook_consumer.py --port 8765 --database deliveries.db

Starferry sends each delivery at least once, in no certain order, and speaks https to the world: put a server that ends
TLS before this program. What is yours to change is `handle`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LARGEST_BODY = 64 * 1024
TOLERANCE_SECONDS = 300
"""How old a message may be: what somebody has recorded can't be sent again later."""

TABLES = """
CREATE TABLE IF NOT EXISTS delivery (id TEXT PRIMARY KEY, received REAL NOT NULL);
CREATE TABLE IF NOT EXISTS news (
    transfer TEXT NOT NULL, position INTEGER NOT NULL, event TEXT NOT NULL, status TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (transfer, position)
);
"""


def handle(database: sqlite3.Connection, news: dict[str, Any]) -> None:
    """Do something with a piece of news, once. It is done together with noting the delivery, or not at all.

    The newest status of a transfer is the one with the highest position, whatever came last.
    """
    database.execute(
        "INSERT OR IGNORE INTO news VALUES (?, ?, ?, ?, ?)",
        (news["transfer"], news["position"], news["event"], news["status"], json.dumps(news)),
    )


def is_genuine(secret: str, timestamp: str, body: bytes, signature: str, now: float) -> bool:
    """Whether Starferry, and nobody else, sent this body a moment ago. Compares in constant time."""
    expected = "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        return False
    return timestamp.isascii() and timestamp.isdecimal() and abs(now - int(timestamp)) <= TOLERANCE_SECONDS


class Consumer(ThreadingHTTPServer):
    """Listens on an address. `path` is a database that is made when it isn't there."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], secret: str, path: str) -> None:
        self.secret = secret
        self.path = path
        with self.database() as database:
            database.executescript("PRAGMA journal_mode = WAL;" + TABLES)
        super().__init__(address, Handler)

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is kept when the block ends well, nothing otherwise."""
        connection = sqlite3.connect(self.path, timeout=10)
        try:
            with connection:
                yield connection
        finally:
            connection.close()


class Handler(BaseHTTPRequestHandler):
    """One message. 2xx says that it is kept; after anything else Starferry sends it again."""

    server: Consumer
    timeout = 10

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()) or int(length) > LARGEST_BODY:
            self._answer(413)
            return
        body = self.rfile.read(int(length))
        given = (self.headers.get("Starferry-Timestamp", ""), body, self.headers.get("Starferry-Signature", ""))
        if not is_genuine(self.server.secret, *given, time.time()):
            self._answer(401)
            return
        message = json.loads(body)
        with self.server.database() as database:
            known = "INSERT OR IGNORE INTO delivery VALUES (?, ?)"
            new = database.execute(known, (message["delivery"], time.time())).rowcount == 1
            if new and message["news"] is not None:  # there is none in a test
                handle(database, message["news"])
        self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Keeps what Starferry's webhooks tell.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--database", default="deliveries.db")
    options = parser.parse_args()
    secret = os.environ.get("STARFERRY_WEBHOOK_SECRET", "")
    if not secret:
        sys.exit("Set STARFERRY_WEBHOOK_SECRET to the secret that was shown when the webhook was made.")
    with Consumer((options.host, options.port), secret, options.database) as server:
        print(f"Listening on http://{options.host}:{server.server_address[1]}/", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
