"""S26: the master key is changed from the command line, and the old one taken out."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from adapters.vault.keyring import parse
from adapters.vault.postgres_vault import PostgresVault
from tests.integration.test_cli import starferry

OLD, NEW = (f"{name}:{base64.b64encode(name.encode() * 11)[:43].decode()}=" for name in ("old", "new"))


@pytest.fixture
def pool(database: str) -> Iterator[ConnectionPool[psycopg.Connection]]:
    with ConnectionPool(database, min_size=1) as opened:
        yield opened


def test_s26_the_master_key_is_changed_and_the_old_one_taken_out(
    database: str, pool: ConnectionPool[psycopg.Connection], tmp_path: Path
) -> None:
    def keys(command: str, *master_keys: str) -> tuple[int, str, str]:
        setting = ",".join(master_keys)
        ran = starferry("keys", command, data=tmp_path, DATABASE_URL=database, STARFERRY_MASTER_KEYS=setting)
        return ran.returncode, ran.stdout, ran.stderr

    PostgresVault(pool, parse(OLD, "the test")).put("cfg-1", {"key": "canary"})
    code, shown, _ = keys("status", NEW, OLD)
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [["new", "0"], ["old", "1"]]
    code, _, complaint = keys("rotate", NEW)
    assert code == 1
    assert "the master key 'old', which isn't there" in complaint
    code, told, _ = keys("rotate", NEW, OLD)
    assert (code, told) == (0, "1 data keys were moved to the master key new; no older key is in use any more.\n")
    code, told, _ = keys("rotate", NEW)
    assert (code, told[:2]) == (0, "0 ")
    assert PostgresVault(pool, parse(NEW, "the test")).get("cfg-1") == {"key": "canary"}
