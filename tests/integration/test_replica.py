"""DB_HOST_READER on a real streaming replica (row E12): it answers, it never hides one's own writes, it may be away."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres.binaries import binaries
from api.database import prepare
from api.settings import Settings
from tests.records import record
from tests.site import Site, eventually, running_site, served


class Standby:
    """A streaming replica that can be made to fall behind, or to be away."""

    def __init__(self, server: EmbeddedPostgres, conninfo: str) -> None:
        self._server = server
        self.conninfo = conninfo
        self.host = str(conninfo_to_dict(conninfo)["host"])

    def hold(self) -> None:
        """Stop replaying; what it has it goes on answering."""
        self._ask("SELECT pg_wal_replay_pause()")
        eventually(lambda: self._ask("SELECT pg_get_wal_replay_pause_state()") == "paused", "it doesn't stop")

    def go_on(self) -> None:
        self._ask("SELECT pg_wal_replay_resume()")

    def stop(self) -> None:
        self._server.stop()

    def questions(self) -> int:
        """How many rows of frames have been read here."""
        return int(
            self._ask(
                "SELECT coalesce(sum(idx_scan + seq_scan), 0) FROM pg_stat_user_tables "
                "WHERE schemaname = 'read_frames' AND relname = 'frame'"
            )
        )

    def _ask(self, statement: str) -> str:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
        return str(row[0]) if row else ""


@contextmanager
def standby_of(primary: Path, conninfo: str, folder: Path) -> Iterator[Standby]:
    """A copy of a running server that follows it."""
    with (primary / "cluster" / "pg_hba.conf").open("a") as rules:
        rules.write("local replication all scram-sha-256\n")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")
    folder.mkdir()
    shutil.copy(primary / "password", folder / "password")
    subprocess.run(
        [binaries() / "pg_basebackup", "-R", "-X", "stream", "-c", "fast", "-D", folder / "cluster", "-d", conninfo],
        check=True,
        capture_output=True,
        timeout=60,
    )
    owner = (primary / "cluster").stat()
    for path in (folder / "cluster", *(folder / "cluster").rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    server = EmbeddedPostgres(folder)
    try:
        yield Standby(server, make_conninfo(server.start(), dbname=conninfo_to_dict(conninfo)["dbname"]))
    finally:
        server.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("primary")
    server = EmbeddedPostgres(folder / "postgres")
    try:
        conninfo = server.start()
        prepare(conninfo)
        with running_site(folder / "data", conninfo, prepared=True) as running:
            yield running
    finally:
        server.stop()


@pytest.fixture
def standby(site: Site, tmp_path: Path) -> Iterator[Standby]:
    primary = site.core.settings.data.parent / "postgres"
    with standby_of(primary, site.core.conninfo, tmp_path / "standby") as running:
        yield running


@pytest.fixture
def reading(site: Site, standby: Standby) -> Iterator[httpx.Client]:
    """A superuser's client of an API process that reads from the standby."""
    environment = {"DATABASE_URL": site.core.conninfo, "DB_HOST_READER": standby.host}
    settings = Settings(environment, data=site.core.settings.data)
    with served(settings, site.core.conninfo) as url:
        yield site.client(site.admin_token, url=url)


def test_e12_questions_about_frames_go_to_the_replica(site: Site, standby: Standby, reading: httpx.Client) -> None:
    frame = site.post(record())
    site.settle()
    eventually(lambda: reading.get(f"/frames/{frame['id']}/").status_code == 200, "the replica doesn't follow")
    before = standby.questions()

    def asked() -> bool:
        assert reading.get("/frames/").status_code == 200
        return standby.questions() > before

    eventually(asked, "the replica isn't asked")


def test_e12_ones_own_write_is_read_although_the_replica_is_behind(
    site: Site, standby: Standby, reading: httpx.Client
) -> None:
    assert reading.get("/frames/").status_code == 200
    standby.hold()
    body = record()
    created = reading.post("/frames/", json=body)
    assert created.status_code == 201
    listed = reading.get(f"/frames/?basename_exact={body['basename']}").json()["results"]
    assert [one["id"] for one in listed] == [created.json()["id"]]
    standby.go_on()


def test_e12_what_another_process_wrote_is_found_although_the_replica_is_behind(
    site: Site, standby: Standby, reading: httpx.Client
) -> None:
    assert reading.get("/frames/").status_code == 200
    standby.hold()
    body = record()
    frame = site.post(body)
    assert reading.get(f"/frames/{frame['id']}/").status_code == 200
    md5 = body["version_set"][0]["md5"]
    assert reading.get(f"/versions/?md5={md5}").json()["count"] == 1
    standby.go_on()


def test_e12_while_the_replica_is_away_the_writer_answers(site: Site, standby: Standby, reading: httpx.Client) -> None:
    frame = site.post(record())
    site.settle()
    standby.stop()
    for _ in range(3):
        assert reading.get(f"/frames/{frame['id']}/").status_code == 200


def test_e12_the_replica_differs_from_the_database_in_its_host_alone(tmp_path: Path) -> None:
    settings = Settings({"DB_HOST": "writer", "DB_PASS": "p@ss", "DB_HOST_READER": "reader"}, data=tmp_path)
    reader = conninfo_to_dict(settings.reader_conninfo(settings.database_url))
    assert reader == {**conninfo_to_dict(settings.database_url), "host": "reader"}
    same = Settings({"DB_HOST": "writer", "DB_HOST_READER": "writer"}, data=tmp_path)
    assert same.reader_conninfo(same.database_url) == ""
    assert Settings({"DB_HOST_READER": "reader"}, data=tmp_path).reader_conninfo("host=/run dbname=x") == ""
