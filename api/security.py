"""Who is asking: a token, a session's cookie or a bearer token, tried in this order (contracts: 1.3)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from litestar import Request
from psycopg_pool import AsyncConnectionPool

from adapters.sessions import hash_session
from api.csrf import Csrf
from api.portal_users import PortalUsers
from api.read_gate import ReadGate
from application.commands.accounts import hash_token
from application.permissions import ANONYMOUS, Principal
from domain.errors import Unauthenticated

CACHE_SECONDS = 2.0
"""How long a revoked token may still work; short enough to be nobody's concern, and it spares a query a request."""
REMEMBERED = 10_000

SESSION_COOKIE = "sessionid"

_ACCOUNT = (
    "SELECT a.username, a.is_superuser, a.is_staff, a.proposals, a.learned, a.active, a.synced, "
    "extract(epoch FROM q.due_at - now())::float8 FROM read_accounts.account a "
    "LEFT JOIN starferry.portal_question q USING (username) "
)
_BY_TOKEN = _ACCOUNT + "WHERE username = (SELECT username FROM read_accounts.token WHERE hash = %s)"
_BY_PORTAL_TOKEN = _ACCOUNT + "WHERE a.portal_token = %s ORDER BY a.created_at DESC LIMIT 1"
_BY_SESSION = _ACCOUNT + "JOIN starferry.session s USING (username) WHERE s.hash = %s AND s.expires_at > now()"
_BY_NAME = _ACCOUNT + "WHERE username = %s"

_Row = tuple[Any, ...]
_Known = tuple[float, Principal | None]


class Authenticator:
    """Turns a request into a principal. Belongs to one event loop."""

    def __init__(
        self,
        pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]],
        gate: ReadGate,
        csrf: Csrf,
        portal: PortalUsers,
    ) -> None:
        self._pool = pool
        self._gate = gate
        self._portal = portal
        self._known: dict[str, _Known] = {}
        self.csrf = csrf

    async def asker(self, request: Request[Any, Any, Any]) -> Principal:
        """The principal of a request, anonymous without credentials.

        Raises Unauthenticated for credentials that aren't good, Forbidden for an unsafe request by session without the
        CSRF token, RetryLater when only the portal could tell and can't be reached.
        """
        authorization = request.headers.get("authorization", "")
        if _scheme(authorization) != "token" and (session_id := request.cookies.get(SESSION_COOKIE)):
            principal = await self.of_session(session_id)
            if principal is not None:
                await self.csrf.check_session(request, session_id)
                return principal
        return await self.principal(authorization)

    async def principal(self, authorization: str | None) -> Principal:
        """The principal of an Authorization header alone; anonymous without one or with another scheme. Raises as
        `asker`."""
        if not authorization:
            return ANONYMOUS
        if _scheme(authorization) == "token":
            return await self._of_token(authorization.partition(" ")[2].strip())
        if "Bearer" in authorization:
            return await self._of_bearer(authorization.partition("Bearer")[2].strip())
        return ANONYMOUS

    async def of_session(self, session_id: str) -> Principal | None:
        """Whose session this is; None when it is over, or its user may not come in."""
        key = hash_session(session_id)
        return await self._cached(f"session:{key}", lambda: self._find(_BY_SESSION, key))

    def forget_session(self, session_id: str) -> None:
        """The session has ended; this process knows at once."""
        self._known.pop(f"session:{hash_session(session_id)}", None)

    def forget_tokens(self) -> None:
        """Tokens have ended; this process knows at once."""
        self._known.clear()

    async def made_here(self, authorization: str) -> str:
        """The token of this header, if it is one of our own and good; else empty."""
        token = authorization.partition(" ")[2].strip()
        if _scheme(authorization) != "token" or not token:
            return ""
        return token if await self._row(_BY_TOKEN, hash_token(token)) else ""

    async def _of_token(self, token: str) -> Principal:
        if not token:
            raise Unauthenticated("Invalid token header. No credentials provided.")
        if " " in token:
            raise Unauthenticated("Invalid token header. Token string should not contain spaces.")
        key = hash_token(token)
        found = await self._cached(f"token:{key}", lambda: self._find_token(key))
        if found is None:
            raise Unauthenticated("Invalid token.")
        return found

    async def _of_bearer(self, token: str) -> Principal:
        username = await self._portal.of_bearer(token)
        found = await self._cached(f"name:{username}", lambda: self._find(_BY_NAME, username))
        if found is None:
            raise Unauthenticated("User inactive or deleted.")
        return found

    async def _cached(self, key: str, find: Callable[[], Awaitable[Principal | None]]) -> Principal | None:
        known = self._known.get(key)
        if known and known[0] > time.monotonic():
            return known[1]
        found = await find()
        if found is not None:
            if len(self._known) > REMEMBERED:
                self._known.clear()
            self._known[key] = (time.monotonic() + CACHE_SECONDS, found)
        return found

    async def _find_token(self, key: str) -> Principal | None:
        for attempt in range(2):
            row = await self._row(_BY_TOKEN, key) or await self._row(_BY_PORTAL_TOKEN, key)
            if row is not None:
                if not row[5]:
                    raise Unauthenticated("User inactive or deleted.")
                return await self._principal(row)
            if attempt or not await self._gate.catch_up():
                break
        return None

    async def _find(self, statement: str, key: str) -> Principal | None:
        row = await self._row(statement, key)
        return await self._principal(row) if row is not None and row[5] else None

    async def _principal(self, row: _Row) -> Principal:
        username, is_superuser, is_staff, granted, learned, _, synced, due_in = row
        if synced and not is_superuser:
            learned = await self._portal.proposals(username, learned, due_in)
        return Principal(username, is_superuser, is_staff, tuple(dict.fromkeys((*granted, *learned))))

    async def _row(self, statement: str, key: str) -> _Row | None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statement.encode(), (key,))
            return await cursor.fetchone()


def _scheme(authorization: str) -> str:
    return authorization.partition(" ")[0].lower()
