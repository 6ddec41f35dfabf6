"""Requests that no well-meaning client sends, byte by byte: refused, never a crash or a hang (row A45)."""

from __future__ import annotations

import json
import socket
import time
from urllib.parse import urlsplit

import pytest

from api import read_gate
from tests.records import record
from tests.site import Site

ROUTES = ("/frames/", "/versions/", "/profile/", "/api/v1/transfers", "/api/v1/events", "/openapi/")


def exchange(site: Site, request: bytes, *, end: bool = True) -> bytes:
    """What the server answers to these bytes; empty when it only closes the connection."""
    address = urlsplit(site.url)
    with socket.create_connection((address.hostname, address.port), timeout=15) as connection:
        connection.sendall(request)
        if end:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def get(site: Site, target: bytes, *headers: bytes) -> int:
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: x", b"Connection: close",
             b"Authorization: Token " + site.admin_token.encode(), *headers, b"", b""]  # fmt: skip
    return status(exchange(site, b"\r\n".join(lines), end=False))


@pytest.mark.parametrize(
    "query",
    [b"start=%zz", b"start=%", b"%=1", b"basename=%ff%fe", b"basename=%ed%a0%80", b"limit=%00", b"md5=%00",
     b"limit=" + b"9" * 5000, b"offset=" + b"9" * 5000, b"after=" + b"9" * 5000, b"offset=-" + b"9" * 400,
     b"exposure_time=1e999999", b"exposure_time=" + b"9" * 5000, b"request_id=" + b"9" * 5000, b"RLEVEL=1e400",
     b"start=0000-00-00", b"start=99999-01-01", b"start=0001-01-01T00:00:00%2B23:59", b"end=9999-12-31T23:59:59-23:59",
     b"dayobs=0000-00-00", b"dayobs=31 Feb 2020", b"ordering=" + b"id," * 3000, b"ordering=-,-,--id,%00",
     b"covers=" + b"(" * 5000, b"covers=POINT(1e308 1e308)", b"covers=POINT(nan nan)", b"covers=%00", b"covers={}",
     b"covers=" + b"%7B%22a%22%3A" * 2000, b"covers=" + b"[" * 9000, b"intersects=GEOMETRYCOLLECTION(" + b"(" * 3000,
     b"intersects=POLYGON((0 0,0 0,0 0,0 0))", b"covers=" + b"01" * 20000, b"&&&===&=&;;", b"format=%00",
     b"cursor=%00", b"cursor=" + b"A" * 9000, b"pagination_style=cursor&cursor=%ff", b"status=%ff",
     b"observation=%ed%b0%80"],
)  # fmt: skip
def test_a45_no_query_breaks_a_list(site: Site, query: bytes) -> None:
    for route in ROUTES:
        assert get(site, route.encode() + b"?" + query) < 500, route


def test_a45_a_query_of_a_megabyte_is_refused_or_read(site: Site) -> None:
    for query in (b"x=" + b"a" * (1 << 20), b"site_id=" + b"a" * (1 << 20), b"a=1&" * (1 << 18)):
        answer = exchange(
            site, b"GET /frames/?" + query + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", end=False
        )
        assert not answer or status(answer) < 500


@pytest.mark.parametrize(
    "target",
    [b"/frames/%00/", b"/frames/%ff/", b"/frames/%/", b"/frames/%ed%a0%80/", b"/frames/" + b"9" * 6000 + b"/",
     b"/frames/1/../../etc/passwd", b"/files/1/%2e%2e%2f%2e%2e", b"/files/" + b"9" * 6000 + b"/x", b"/files/%00/x",
     b"/versions/" + b"9" * 6000 + b"/", b"/versions/-1/", b"/versions/1.5/", b"/thumbnails/%00/",
     b"/api/v1/audit/frame/%ff%00", b"/api/v1/audit/%00/x", b"/api/v1/observations/" + b"9" * 6000,
     b"/api/v1/transfers/%ed%a0%80", b"//", b"///frames///", b"/frames.json", b"/frames/1.json", b"/.json", b"*"],
)  # fmt: skip
def test_a45_no_path_breaks_anything(site: Site, target: bytes) -> None:
    assert get(site, target) < 500


BODIES = {
    "deep nesting": b'{"headers":' + b'{"a":' * 50_000,
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "a huge number": b'{"observation_id": ' + b"9" * 100_000 + b"}",
    "an endless exponent": b'{"exposure_time": 1e' + b"9" * 1000 + b"}",
    "lone surrogates": b'{"basename": "\\ud800", "name": "\\udfff", "username": "\\ud800", "password": "\\udc00"}',
    "null characters": b'{"basename": "\\u0000", "name": "\\u0000", "username": "\\u0000", "password": "\\u0000"}',
    "not text": b'{"name": "\xff\xfe"}',
    "twice the same key": b'{"name": 1, "name": "x", "basename": "a", "basename": []}',
    "no object": b"17",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "NaN": b'{"exposure_time": NaN, "observation_id": Infinity}',
    "nothing": b"",
}
WRITES = ("/frames/", "/api-token-auth/", "/api/v1/observations", "/api/v1/storage-configs",
          "/api/v1/frames/x/calibration", "/api/v1/ingest")  # fmt: skip


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "multipart/form-data",
                                  "multipart/form-data; boundary=x", "text/csv", "",
                                  "application/json; charset=utf-16"])  # fmt: skip
def test_a45_no_body_breaks_a_write(site: Site, body: bytes, kind: str) -> None:
    for route in WRITES:
        answer = site.client().post(
            route, content=body, headers={"Content-Type": kind, "Authorization": f"Token {site.admin_token}"}
        )
        assert 400 <= answer.status_code < 500 or route == "/api-token-auth/", (route, answer.text)
        assert answer.status_code < 500, (route, answer.text)


@pytest.mark.parametrize("headers", [
    b"Content-Length: 100000", b"Content-Length: 3", b"Content-Length: -1", b"Content-Length: x",
    b"Content-Length: 5\r\nContent-Length: 6", b"Transfer-Encoding: chunked", b"Transfer-Encoding: nonsense",
    b"Content-Length: 99999999999999999999999999", b"Content-Encoding: gzip\r\nContent-Length: 18",
])  # fmt: skip
def test_a45_a_length_that_is_not_true_ends_the_request_at_once(site: Site, headers: bytes) -> None:
    for route in (b"/frames/", b"/api/v1/observations", b"/api/v1/ingest"):
        lines = [b"POST " + route + b" HTTP/1.1", b"Host: x", b"Connection: close", b"Content-Type: application/json",
                 b"Authorization: Token " + site.admin_token.encode(), headers, b"", b'{"name": "short"}']  # fmt: skip
        answer = exchange(site, b"\r\n".join(lines))
        assert not answer or 400 <= status(answer) < 500, answer[:300]
    assert site.anonymous.get("/health/").json() == "ok"


def test_a45_odd_credentials_are_refused_with_401(site: Site) -> None:
    for value in (b"Token \xff\xfe", b"Token " + b"a" * 60_000, b"Token \x00", b"token\t\tx", b"Token " + b" " * 500):
        answer = exchange(site, b"GET /profile/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + value
                          + b"\r\n\r\n", end=False)  # fmt: skip
        assert not answer or status(answer) < 500


def test_a45_an_odd_host_and_odd_methods_are_answered(site: Site) -> None:
    for request in (b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n", b"GET / HTTP/1.1\r\nHost: a b\r\n", b"GET / HTTP/1.0\r\n",
                    b"BREW /frames/ HTTP/1.1\r\nHost: x\r\n", b"TRACE / HTTP/1.1\r\nHost: x\r\n",
                    b"get / HTTP/1.1\r\nHost: x\r\n",
                    b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n"):  # fmt: skip
        answer = exchange(site, request + b"Connection: close\r\n\r\n", end=False)
        assert not answer or status(answer) < 500, request


def test_a45_what_came_through_can_be_read_again(site: Site) -> None:
    odd = "x" + json.loads('"\\ud83d\\ude00\\u202e\\uffff\\u0001"')
    created = site.post(record(target_name=odd, headers={"OBJECT": odd, "big": 10**300, "deep": [[[[]]]]}))
    site.settle()
    shown = site.admin.get(f"/frames/{created['id']}/")
    assert shown.json()["target_name"] == odd
    assert site.admin.get(f"/frames/{created['id']}/headers/").json()["data"]["OBJECT"] == odd
    assert site.admin.get("/frames/", params={"OBJECT": odd}).json()["count"] == 1
    assert not site.failures()


def test_a45_nobody_waits_for_an_event_that_is_not_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_gate, "WAIT_SECONDS", 60.0)
    begun = time.monotonic()
    answer = site.user.get("/frames/", headers={"starferry-position": str(10**15)}, timeout=90)
    assert answer.status_code == 200
    assert time.monotonic() - begun < read_gate.WAIT_SECONDS
