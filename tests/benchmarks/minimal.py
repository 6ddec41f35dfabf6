"""Starts the minimal handlers beside the archive's database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.benchmarks.installation import ROOT, wait_ready
from tests.benchmarks.session import Session
from tests.ports import free_port


@contextmanager
def minimal(session: Session) -> Iterator[tuple[str, int]]:
    """Address and process id; its table is dropped at the end."""
    port = free_port()
    conninfo = session.installation.conninfo
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT max(id) FROM read_frames.frame").fetchone()
    assert row is not None
    with (session.installation.logs / "minimal.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.minimal_app", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, "BENCHMARK_DATABASE": conninfo},
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_ready(f"{address}/one/{row[0]}", child)
        yield address, child.pid
    finally:
        child.terminate()
        child.wait(timeout=20)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS benchmark_frame")
