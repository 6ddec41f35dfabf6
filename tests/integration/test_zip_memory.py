"""A large zip download from a real API process: row D03 of the contract, and the design's bound of memory."""

from __future__ import annotations

import secrets
from pathlib import Path

import httpx
import pytest
from psycopg_pool import ConnectionPool

from adapters.clock import SystemClock
from adapters.event_store.log import PostgresEventLog
from adapters.passwords import PostgresPasswords
from application.commands.accounts import create_token, create_user
from tests.benchmarks import machine
from tests.benchmarks.sparse_frames import read_through, record_sparse_frame
from tests.postgres import fresh_database
from tests.processes import running_processes
from tests.site import CAUSE, eventually

GIB, MIB = 1 << 30, 1 << 20


def superusers_token(conninfo: str) -> str:
    """A token that may record frames."""
    log, token = PostgresEventLog(conninfo), secrets.token_hex(20)
    with ConnectionPool(conninfo, min_size=1, max_size=1, kwargs={"autocommit": True}) as pool:
        create_user(log, PostgresPasswords(pool), SystemClock(), CAUSE, "ops", is_superuser=True)
    create_token(log, SystemClock(), CAUSE, "ops", token)
    log.close()
    return token


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_d03_a_zip_of_gibibytes_takes_at_most_64_mib_above_idle(cluster: str, template: str, tmp_path: Path) -> None:
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_processes(tmp_path, {"DATABASE_URL": conninfo}, ("api", "projections")) as processes,
        httpx.Client(base_url=processes.url, timeout=60, trust_env=False) as client,
    ):
        client.headers["Authorization"] = f"Token {superusers_token(conninfo)}"
        eventually(lambda: client.get("/frames/").status_code == 200, "nobody may come in")
        small, large = (record_sparse_frame(client, tmp_path / "files", size) for size in (MIB, 3 * GIB))
        read_through(client, [small])
        pid = processes.pids["api"]
        idle = machine.resident(pid)
        machine.reset_peak(pid)
        assert read_through(client, [small, large]) > 3 * GIB
        assert machine.peak(pid) - idle <= 64 * MIB
