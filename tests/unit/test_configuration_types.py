"""C08: configuration types come from ConfigDB, and from the settings where it has none or doesn't answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from adapters.configdb import REFRESH_SECONDS, RETRY_SECONDS, ConfigurationTypes

CONFIGURED = ("BIAS", "EXPOSE")


class FakeConfigDb:
    """Answers `/instruments/` with `status` and `body`."""

    def __init__(self) -> None:
        self.status, self.body = 200, b"{}"
        self.paths: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.paths.append(self.path)
                self.send_response(fake.status)
                self.send_header("Content-Length", str(len(fake.body)))
                self.end_headers()
                self.wfile.write(fake.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/configdb/"

    def has(self, *instruments: list[str]) -> None:
        results = [{"instrument_type": {"configuration_types": [{"code": code} for code in codes]}}
                   for codes in instruments]  # fmt: skip
        self.body = json.dumps({"count": len(results), "results": results}).encode()


@pytest.fixture
def configdb() -> Iterator[FakeConfigDb]:
    fake = FakeConfigDb()
    thread = threading.Thread(target=fake.server.serve_forever)
    thread.start()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()
    thread.join()


def test_c08_without_a_configdb_the_types_are_those_of_the_settings() -> None:
    types = ConfigurationTypes(CONFIGURED)
    assert types.known() == CONFIGURED
    assert not types.changing


def test_c08_configdb_gives_the_types_of_all_its_instruments_once(configdb: FakeConfigDb) -> None:
    configdb.has(["EXPOSE", "ARC"], ["ARC", "LAMPFLAT"], [])
    types = ConfigurationTypes(CONFIGURED, configdb.url)
    assert types.refresh() == REFRESH_SECONDS
    assert types.known() == ("EXPOSE", "ARC", "LAMPFLAT")
    assert configdb.paths == ["/configdb/instruments/"]


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"{}"), (200, b"<html>"), (200, b"{}"), (200, b"[]"), (200, b'{"results": [{}]}'), (200, b'{"results": []}'),
     (200, b'{"results": [{"instrument_type": null}]}')],
)  # fmt: skip
def test_c08_what_was_known_stays_known_when_configdb_fails(configdb: FakeConfigDb, status: int, body: bytes) -> None:
    types = ConfigurationTypes(CONFIGURED, configdb.url)
    configdb.status, configdb.body = status, body
    assert types.refresh() == RETRY_SECONDS
    assert types.known() == CONFIGURED
    configdb.status = 200
    configdb.has(["ARC"])
    types.refresh()
    configdb.status = 503
    assert types.refresh() == RETRY_SECONDS
    assert types.known() == ("ARC",)


def test_c08_a_configdb_that_isnt_there_leaves_the_settings_in_force() -> None:
    types = ConfigurationTypes(CONFIGURED, "http://127.0.0.1:9")
    assert types.refresh() == RETRY_SECONDS
    assert types.known() == CONFIGURED
