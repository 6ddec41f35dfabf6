"""Accounts and their tokens, for those who look after them. Tokens are only known by their hashes."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

Rows = list[dict[str, Any]]

_ACCOUNT = (
    "SELECT a.*, (SELECT count(*) FROM read_accounts.token t WHERE t.username = a.username) AS tokens "
    "FROM read_accounts.account a"
)


class AccountQueries:
    """Answers from read_accounts. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool

    async def accounts(self, *, part: str = "", beyond: str = "", limit: int) -> Rows:
        """Accounts whose names hold `part` in any case and come after `beyond`, by name."""
        return await self._rows(
            f"{_ACCOUNT} WHERE position(lower(%s) in lower(a.username)) > 0 AND a.username > %s "
            "ORDER BY a.username LIMIT %s",
            part,
            beyond,
            limit,
        )

    async def account(self, username: str) -> dict[str, Any] | None:
        """One account."""
        rows = await self._rows(f"{_ACCOUNT} WHERE a.username = %s", username)
        return rows[0] if rows else None

    async def tokens(self, username: str) -> Rows:
        """The hashes of an account's tokens and when they were made, the newest thousand."""
        return await self._rows(
            "SELECT hash, issued_at FROM read_accounts.token WHERE username = %s ORDER BY issued_at DESC, hash "
            "LIMIT 1000",
            username,
        )

    async def _rows(self, statement: str, *parameters: Any) -> Rows:
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(statement.encode(), parameters)
            return await cursor.fetchall()
