"""Who is asking: tokens, looked up by their hash."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from api.read_gate import ReadGate
from application.commands.accounts import hash_token
from application.permissions import ANONYMOUS, Principal
from domain.errors import Unauthenticated

CACHE_SECONDS = 2.0
"""How long a revoked token may still work; short enough to be nobody's concern, and it spares a query a request."""

_LOOKUP = (
    "SELECT a.username, a.is_superuser, a.is_staff, a.proposals, a.active FROM read_accounts.token t "
    "JOIN read_accounts.account a USING (username) WHERE t.hash = %s"
)


class Authenticator:
    """Turns an Authorization header into a principal. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]], gate: ReadGate) -> None:
        self._pool = pool
        self._gate = gate
        self._known: dict[str, tuple[float, Principal]] = {}

    async def principal(self, authorization: str | None) -> Principal:
        """The principal of a request; anonymous without a header or with another scheme. Raises Unauthenticated."""
        if not authorization:
            return ANONYMOUS
        scheme, _, rest = authorization.partition(" ")
        if scheme.lower() != "token":
            return ANONYMOUS
        token = rest.strip()
        if not token:
            raise Unauthenticated("Invalid token header. No credentials provided.")
        if " " in token:
            raise Unauthenticated("Invalid token header. Token string should not contain spaces.")
        known = self._known.get(token)
        if known and known[0] > time.monotonic():
            return known[1]
        principal = await self._find(token)
        if len(self._known) > 1000:
            self._known.clear()
        self._known[token] = (time.monotonic() + CACHE_SECONDS, principal)
        return principal

    async def _find(self, token: str) -> Principal:
        row = await self._row(token)
        if row is None and await self._gate.catch_up():
            row = await self._row(token)
        if row is None:
            raise Unauthenticated("Invalid token.")
        username, is_superuser, is_staff, proposals, active = row
        if not active:
            raise Unauthenticated("User inactive or deleted.")
        return Principal(username, is_superuser, is_staff, tuple(proposals))

    async def _row(self, token: str) -> tuple[Any, ...] | None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_LOOKUP, (hash_token(token),))
            return await cursor.fetchone()
