"""Password hashes by argon2id (its authors' defaults, RFC 9106), in a table of their own."""

from __future__ import annotations

import argon2
from psycopg_pool import ConnectionPool

from domain.accounts import check_password


class PostgresPasswords:
    """Implements Passwords."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._hasher = argon2.PasswordHasher()
        self._nobody = self._hasher.hash("nobody")

    def set(self, username: str, password: str) -> None:
        """See Passwords.set."""
        check_password(password)
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO starferry.password VALUES (%s, %s) "
                "ON CONFLICT (username) DO UPDATE SET hash = excluded.hash",
                (username, self._hasher.hash(password)),
            )

    def check(self, username: str, password: str) -> bool:
        """See Passwords.check."""
        with self._pool.connection() as connection:
            row = connection.execute("SELECT hash FROM starferry.password WHERE username = %s", (username,)).fetchone()
        try:
            self._hasher.verify(row[0] if row else self._nobody, password)
        except argon2.exceptions.VerificationError:
            return False
        return row is not None
