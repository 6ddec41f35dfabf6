"""The vault in PostgreSQL (tables: adapters/postgres/migrations/0002_vault.sql)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from adapters.vault.envelope import DataKey
from adapters.vault.keyring import Keyring
from adapters.vault.sealing import Sealed, check_names, open_all, seal_all
from domain.errors import Misconfigured, RetryLater

REWRAP_BATCH = 100
"""Data keys moved in one transaction: a put of one of these owners waits for no more than that."""

Cursor = psycopg.Cursor[tuple[Any, ...]]

_SEALED = (
    "SELECT k.master_key_id, k.wrapped, s.field, s.version, s.nonce, s.ciphertext"
    " FROM vault.data_key k JOIN vault.secret s USING (owner) WHERE owner = %s ORDER BY s.field"
)
_PUT_FIRST = """
WITH made AS (
    INSERT INTO vault.data_key (owner, master_key_id, wrapped, version)
    SELECT owner, %(master_key_id)s, wrapped, 1
    FROM unnest(%(owners)s::text[], %(wrapped)s::bytea[]) AS one (owner, wrapped)
    ON CONFLICT DO NOTHING RETURNING owner
), sealed AS (
    INSERT INTO vault.secret (owner, field, version, nonce, ciphertext)
    SELECT one.owner, one.field, 1, one.nonce, one.ciphertext
    FROM unnest(%(of)s::text[], %(fields)s::text[], %(nonces)s::bytea[], %(ciphertexts)s::bytea[])
        AS one (owner, field, nonce, ciphertext) JOIN made USING (owner)
)
SELECT owner FROM made
"""


class PostgresVault:
    """Implements application.ports.vault.Vault. Safe to share between threads and processes.

    Every method may raise RetryLater when the database can't be reached.
    """

    def __init__(self, pool: ConnectionPool[Any], keyring: Keyring) -> None:
        self._pool = pool
        self._keyring = keyring

    def put(self, owner: str, secrets: Mapping[str, str]) -> int:
        """As the port says; with no secrets nothing changes (the version is 0 for an unknown owner).

        Raises InvalidInput for text that can't be kept, Misconfigured when the master key is missing.
        """
        check_names(owner, secrets)
        if secrets and self._put_first({owner: secrets}):
            return 1
        with self._transaction() as cursor:
            if not secrets:
                row = cursor.execute("SELECT version FROM vault.data_key WHERE owner = %s", (owner,)).fetchone()
                return int(row[0]) if row else 0
            data_key, version = self._next_version(cursor, owner)
            cursor.executemany(
                "INSERT INTO vault.secret (owner, field, version, nonce, ciphertext) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (owner, field) DO UPDATE SET version = excluded.version, nonce = excluded.nonce,"
                " ciphertext = excluded.ciphertext",
                [
                    (owner, one.field, one.version, one.nonce, one.ciphertext)
                    for one in seal_all(data_key, version, secrets)
                ],
            )
            return version

    def put_each(self, secrets: Mapping[str, Mapping[str, str]]) -> None:
        """As the port says. Raises as `put`."""
        for owner, theirs in secrets.items():
            check_names(owner, theirs)
        wanted = {owner: secrets[owner] for owner in sorted(secrets) if secrets[owner]}
        made = self._put_first(wanted) if wanted else frozenset()
        for owner in wanted.keys() - made:
            self.put(owner, wanted[owner])

    def _put_first(self, secrets: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
        """Those of owners who have none yet, in one round trip; which owners these were. In an order that all keep to,
        so that nobody waits for somebody who waits for them."""
        newest, data_keys = self._keyring.newest, {owner: DataKey.new(owner) for owner in sorted(secrets)}
        sealed = [
            (owner, one) for owner, data_key in data_keys.items() for one in seal_all(data_key, 1, secrets[owner])
        ]
        values = {
            "master_key_id": newest.id,
            "owners": list(data_keys),
            "wrapped": [newest.wrap(data_key) for data_key in data_keys.values()],
            "of": [owner for owner, _ in sealed],
            "fields": [one.field for _, one in sealed],
            "nonces": [one.nonce for _, one in sealed],
            "ciphertexts": [one.ciphertext for _, one in sealed],
        }
        with self._one_statement() as cursor:
            return frozenset(owner for (owner,) in cursor.execute(_PUT_FIRST, values).fetchall())

    def get(self, owner: str) -> dict[str, str]:
        """As the port says. Raises GiveUp too, for a secret that was altered or moved in the database."""
        with self._one_statement() as cursor:
            return self._opened(owner, cursor.execute(_SEALED, (owner,)).fetchall())

    def take(self, owner: str) -> dict[str, str]:
        """As the port says. Raises as `get`."""
        with self._transaction() as cursor:
            rows = cursor.execute(f"{_SEALED} FOR UPDATE OF k".encode(), (owner,)).fetchall()
            cursor.execute("DELETE FROM vault.data_key WHERE owner = %s", (owner,))
        return self._opened(owner, rows)

    def _opened(self, owner: str, rows: Sequence[tuple[Any, ...]]) -> dict[str, str]:
        if not rows:
            return {}
        data_key = self._keyring.unwrap(owner, rows[0][0], rows[0][1])
        return open_all(data_key, (Sealed(*row[2:]) for row in rows))

    def names(self, owner: str) -> frozenset[str]:
        """Which secrets are set."""
        with self._transaction() as cursor:
            rows = cursor.execute("SELECT field FROM vault.secret WHERE owner = %s", (owner,)).fetchall()
        return frozenset(row[0] for row in rows)

    def shred(self, owner: str) -> None:
        """Remove the owner's data key, and its secrets with it."""
        self.shred_each([owner])

    def shred_each(self, owners: Collection[str]) -> None:
        """Remove the owners' data keys, and their secrets with them."""
        with self._one_statement() as cursor:
            cursor.execute("DELETE FROM vault.data_key WHERE owner = ANY(%s)", (list(owners),))

    def owners(self, prefix: str) -> Sequence[str]:
        """As the port says."""
        with self._one_statement() as cursor:
            rows = cursor.execute("SELECT owner FROM vault.data_key WHERE starts_with(owner, %s)", (prefix,)).fetchall()
        return [row[0] for row in rows]

    def check(self) -> None:
        """Open one data key of every master key in use: asked at the start; changes nothing.

        Raises Misconfigured, in a sentence that names the master key, when one is missing or is another one.
        """
        with self._transaction() as cursor:
            rows = cursor.execute(
                "SELECT DISTINCT ON (master_key_id) owner, master_key_id, wrapped FROM vault.data_key"
                " ORDER BY master_key_id, owner"
            ).fetchall()
        for row in rows:
            self._keyring.unwrap(*row)

    def master_keys(self) -> tuple[str, ...]:
        """The ids of the master keys that this process has, newest first."""
        return self._keyring.ids

    def in_use(self) -> dict[str, int]:
        """How many data keys each master key wraps, by its id."""
        with self._transaction() as cursor:
            rows = cursor.execute("SELECT master_key_id, count(*) FROM vault.data_key GROUP BY 1").fetchall()
        return {row[0]: row[1] for row in rows}

    def rewrap(self, progress: Callable[[int], None]) -> int:
        """Wrap every data key with the newest master key, while others use them; returns how many were moved.

        `progress` gets the count so far after each batch. Interrupted, it goes on where it stopped. Raises
        Misconfigured at the first data key whose master key is missing or is another one.
        """
        moved = 0
        while (batch := self._rewrap_batch()) is not None:
            moved += batch
            progress(moved)
        return moved

    def _rewrap_batch(self) -> int | None:
        """Move some data keys of one older master key; None when there is no older one in use any more."""
        newest = self._keyring.newest
        with self._transaction() as cursor:
            # two minima instead of <>: each is one look into the index, however many are moved already
            older = cursor.execute(
                "SELECT coalesce((SELECT min(master_key_id) FROM vault.data_key WHERE master_key_id < %(newest)s),"
                " (SELECT min(master_key_id) FROM vault.data_key WHERE master_key_id > %(newest)s))",
                {"newest": newest.id},
            ).fetchone()
            if older is None or older[0] is None:
                return None
            rows = cursor.execute(
                "SELECT owner, master_key_id, wrapped FROM vault.data_key WHERE master_key_id = %s"
                " ORDER BY owner LIMIT %s FOR UPDATE",
                (older[0], REWRAP_BATCH),
            ).fetchall()
            cursor.execute(
                "UPDATE vault.data_key k SET master_key_id = %s, wrapped = moved.wrapped"
                " FROM unnest(%s::text[], %s::bytea[]) AS moved (owner, wrapped) WHERE k.owner = moved.owner",
                (newest.id, [row[0] for row in rows], [newest.wrap(self._keyring.unwrap(*row)) for row in rows]),
            )
            return len(rows)

    def _next_version(self, cursor: Cursor, owner: str) -> tuple[DataKey, int]:
        """Lock the owner's row, made when it isn't there, and count its version up."""
        newest = self._keyring.newest
        while True:
            row = cursor.execute(
                "UPDATE vault.data_key SET version = version + 1 WHERE owner = %s"
                " RETURNING master_key_id, wrapped, version",
                (owner,),
            ).fetchone()
            if row:
                return self._keyring.unwrap(owner, row[0], row[1]), int(row[2])
            data_key = DataKey.new(owner)
            made = cursor.execute(
                "INSERT INTO vault.data_key (owner, master_key_id, wrapped, version) VALUES (%s, %s, %s, 1)"
                " ON CONFLICT DO NOTHING",
                (owner, newest.id, newest.wrap(data_key)),
            )
            if made.rowcount:
                return data_key, 1

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Cursor]:
        with self._one_statement() as cursor, cursor.connection.transaction():
            yield cursor

    @contextlib.contextmanager
    def _one_statement(self) -> Iterator[Cursor]:
        """For what is a transaction by itself: two round trips fewer."""
        try:
            with self._pool.connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
                yield cursor
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege) as error:
            raise Misconfigured("The vault's tables aren't there or may not be used; run the migrations.") from error
        except (psycopg.Error, PoolTimeout) as error:
            raise RetryLater("The database can't be reached or didn't answer; try again later.") from error
