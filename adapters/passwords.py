"""Password hashes by argon2id (its authors' defaults, RFC 9106), in a table of their own.

Hashes that Django made are understood (pbkdf2_sha256, and its argon2) and replaced by one of ours at the next login.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re

import argon2
from psycopg_pool import ConnectionPool

from domain.accounts import check_password

_PBKDF2 = re.compile(r"pbkdf2_sha256\$([1-9][0-9]{0,7})\$([^$]{1,200})\$([A-Za-z0-9+/]{43}=)")
"""Algorithm, iterations, salt, hash in base64."""

_ARGON2 = re.compile(r"argon2(\$argon2id?\$.{20,300})")
"""Django puts its own name before the standard form."""


class PostgresPasswords:
    """Implements Passwords."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._hasher = argon2.PasswordHasher()
        self._nobody = self._hasher.hash("nobody")

    def set(self, username: str, password: str) -> None:
        """See Passwords.set."""
        check_password(password)
        self._keep(username, self._hasher.hash(password))

    def check(self, username: str, password: str) -> bool:
        """See Passwords.check."""
        with self._pool.connection() as connection:
            row = connection.execute("SELECT hash FROM starferry.password WHERE username = %s", (username,)).fetchone()
        known = row[0] if row else self._nobody
        if pbkdf2 := _PBKDF2.fullmatch(known):
            if not _is_pbkdf2(pbkdf2, password):
                return False
        else:
            try:
                self._hasher.verify(known, password)
            except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
                return False
        if row and (pbkdf2 or self._hasher.check_needs_rehash(known)):
            self._upgrade(username, known, password)
        return row is not None

    def understands(self, encoded: str) -> bool:
        """See Passwords.understands."""
        return bool(_PBKDF2.fullmatch(encoded) or _ARGON2.fullmatch(encoded))

    def adopt(self, username: str, encoded: str) -> bool:
        """See Passwords.adopt."""
        if not self.understands(encoded):
            return False
        argon = _ARGON2.fullmatch(encoded)
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO starferry.password VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (username, argon[1] if argon else encoded),
            )
        return True

    def _keep(self, username: str, encoded: str) -> None:
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO starferry.password VALUES (%s, %s) "
                "ON CONFLICT (username) DO UPDATE SET hash = excluded.hash",
                (username, encoded),
            )

    def _upgrade(self, username: str, encoded: str, password: str) -> None:
        """Unless somebody has changed the password meanwhile."""
        with self._pool.connection() as connection:
            connection.execute(
                "UPDATE starferry.password SET hash = %s WHERE username = %s AND hash = %s",
                (self._hasher.hash(password), username, encoded),
            )


def _is_pbkdf2(stored: re.Match[str], password: str) -> bool:
    iterations, salt, expected = stored.groups()
    try:
        wanted = base64.b64decode(expected)
    except binascii.Error:
        return False
    made = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), int(iterations))
    return hmac.compare_digest(made, wanted)
