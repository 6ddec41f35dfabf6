"""The id that ties a request to all that it leads to: in its answer, in logs, in events.

A client may bring one, as `X-Request-ID` or as the trace id of a W3C `traceparent`; it is only a name, and gives
nobody any right. Anything that could be mistaken for something else in a log or a table is left, and another is made.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from contextvars import ContextVar

import structlog

HEADER = b"x-request-id"

_BROUGHT = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

_current: ContextVar[str] = ContextVar("correlation", default="")


def new_correlation() -> str:
    """An id that nothing else has."""
    return secrets.token_hex(8)


def correlation() -> str:
    """That of the request which is being answered; a new one outside of any."""
    return _current.get() or new_correlation()


def begin(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Take the id that a request brings, or make one; from here on `correlation` and the logs have it."""
    found = _brought(headers) or new_correlation()
    _current.set(found)
    structlog.contextvars.bind_contextvars(correlation=found)
    return found


def _brought(headers: Iterable[tuple[bytes, bytes]]) -> str:
    traced = ""
    for name, value in headers:
        if name == HEADER and _BROUGHT.fullmatch(value):
            return value.decode()
        if name == b"traceparent" and (trace := _TRACEPARENT.fullmatch(value)):
            traced = trace[1].decode()
    return traced
