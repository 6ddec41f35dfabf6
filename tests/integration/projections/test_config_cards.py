"""What the cards of storage configurations keep (S63)."""

from __future__ import annotations

import psycopg

from adapters.event_store.log import PostgresEventLog
from domain.storage_configs import StorageConfigAuthorizationLost, StorageConfigAuthorized
from tests.integration.projections.test_config_lookups import project


def test_s27_a_test_that_succeeds_again_keeps_the_account(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    lost, tested = StorageConfigAuthorizationLost(reason="Revoked."), StorageConfigAuthorized()
    first, second = (StorageConfigAuthorized(account=f"{name}@example.org") for name in ("ada", "ben"))
    project(
        database, log, connection, never=(lost, tested), once=(first, lost, tested), twice=(first, lost, second, tested)
    )
    rows = connection.execute("SELECT id, account FROM read_storage_configs.storage_config").fetchall()
    assert dict(rows) == {"never": "", "once": "ada@example.org", "twice": "ben@example.org"}
