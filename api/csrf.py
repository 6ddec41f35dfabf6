"""Proof that a request with a session's cookie was meant by its user: a token that other sites can't read.

The cookie, the header and the form field have the names that clients of the original know.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Any
from urllib.parse import urlsplit

from litestar import Request

from domain.errors import Forbidden

COOKIE = "csrftoken"
FIELD = "csrfmiddlewaretoken"
HEADER = "x-csrftoken"
SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
_TOKEN = re.compile("[0-9a-f]{64}")


class Csrf:
    """Makes and checks these tokens. A session's token is derived from its id, so that it can't be planted; before the
    login, the cookie itself is what the form must repeat."""

    def __init__(self, key: bytes, public_url: str = "") -> None:
        self._key = key
        self._own_host = urlsplit(public_url).netloc.lower()

    def token(self, session_id: str) -> str:
        """The token of a session."""
        return hmac.new(self._key, b"csrf:" + session_id.encode(), hashlib.sha256).hexdigest()

    def before_login(self, request: Request[Any, Any, Any]) -> str:
        """The token that the browser has already, or a new one."""
        held = request.cookies.get(COOKIE, "")
        return held if _TOKEN.fullmatch(held) else secrets.token_hex(32)

    async def check_session(self, request: Request[Any, Any, Any], session_id: str) -> None:
        """Raise Forbidden for an unsafe request without the session's token."""
        if request.method not in SAFE:
            await self._check(request, self.token(session_id))

    async def check_login(self, request: Request[Any, Any, Any]) -> None:
        """Raise Forbidden for a login that doesn't come from our own form."""
        held = request.cookies.get(COOKIE, "")
        if not _TOKEN.fullmatch(held):
            raise Forbidden("CSRF Failed: CSRF cookie not set.")
        await self._check(request, held)

    async def _check(self, request: Request[Any, Any, Any], expected: str) -> None:
        origin = request.headers.get("origin")
        if origin is not None and _host_of(origin) not in self._hosts(request):
            raise Forbidden("CSRF Failed: Origin checking failed: this request comes from another site.")
        given = request.headers.get(HEADER) or await _field(request)
        if not given:
            raise Forbidden("CSRF Failed: CSRF token missing.")
        if not hmac.compare_digest(given.encode(), expected.encode()):
            raise Forbidden("CSRF Failed: CSRF token incorrect.")

    def _hosts(self, request: Request[Any, Any, Any]) -> frozenset[str]:
        return frozenset((request.headers.get("host", "").lower(), self._own_host)) - {""}


def _host_of(origin: str) -> str:
    """Host and port of an origin; empty for one that can't be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


async def _field(request: Request[Any, Any, Any]) -> str:
    """The form's field. Only small forms are read: a file that is sent as multipart is streamed by its own handler, so
    such requests use the header."""
    kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return ""
    value = (await request.form()).get(FIELD, "")
    return value if isinstance(value, str) else ""
