"""Browser sessions, in a table; who holds the id is logged in, so only its hash is kept."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from psycopg_pool import ConnectionPool

LIFETIME = timedelta(days=14)
"""As long as the original's."""


def hash_session(session_id: str) -> str:
    """What the table knows of a session's id. Its 256 random bits need no slow hash."""
    return hashlib.sha256(session_id.encode()).hexdigest()


class PostgresSessions:
    """Begins and ends sessions. Safe to share between threads."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def begin(self, username: str) -> str:
        """A new session's id. Sessions that have run out are swept away by the way."""
        session_id = secrets.token_hex(32)
        with self._pool.connection() as connection:
            connection.execute("DELETE FROM starferry.session WHERE expires_at < now()")
            connection.execute(
                "INSERT INTO starferry.session VALUES (%s, %s, now() + %s)",
                (hash_session(session_id), username, LIFETIME),
            )
        return session_id

    def end(self, session_id: str) -> None:
        """This session is over; ending one that isn't there changes nothing."""
        with self._pool.connection() as connection:
            connection.execute("DELETE FROM starferry.session WHERE hash = %s", (hash_session(session_id),))

    def end_all(self, username: str) -> None:
        """All sessions of a user are over."""
        with self._pool.connection() as connection:
            connection.execute("DELETE FROM starferry.session WHERE username = %s", (username,))
