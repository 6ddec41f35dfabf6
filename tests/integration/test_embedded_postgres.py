"""The embedded PostgreSQL, with the real server: started, stopped, killed, shared, and in awkward places."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.embedded_postgres import EmbeddedPostgres, cluster
from adapters.embedded_postgres.identity import Identity, identities
from adapters.embedded_postgres.locks import is_free
from adapters.embedded_postgres.server_state import PidFile
from adapters.embedded_postgres.sockets import socket_folder
from domain.errors import Misconfigured
from tests.postgres import fresh_database, start_test_cluster

ROOT = Path(__file__).parents[2]
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="asks what happens as root")
only_where_root_can_be_others = pytest.mark.skipif(
    os.geteuid() != 0 or Path("/proc/self/uid_map").read_text().split()[2] == "1",
    reason="asks what happens as root where there are other users",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped database that was started once."""
    place = tmp_path_factory.mktemp("made") / "postgres"
    server = EmbeddedPostgres(place)
    server.start()
    server.stop()
    return place


@pytest.fixture
def directory(made: Path, new_directory: Path) -> Path:
    """A database of one's own, not running; a copy, so that it has also moved and, as root, changed its owner."""
    shutil.copytree(made, new_directory)
    return new_directory


@pytest.fixture
def new_directory(tmp_path: Path) -> Iterator[Path]:
    """A place for a database, whose server is stopped afterwards."""
    place = tmp_path / "postgres"
    yield place
    EmbeddedPostgres(place).stop()


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def postmaster(directory: Path) -> int:
    found = PidFile.read(directory / "cluster")
    assert found is not None
    return found.pid


def note(conninfo: str, *notes: str) -> list[str]:
    """Keep these notes and return all that were ever kept."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (id serial, text text)")
        connection.cursor().executemany("INSERT INTO note (text) VALUES (%s)", [(text,) for text in notes])
        return [row[0] for row in connection.execute("SELECT text FROM note ORDER BY id")]


def program(directory: Path, then: str = "sys.stdin.read()", *, arguments: str = "") -> subprocess.Popen[str]:
    """Another program that starts the database, prints "up" and its process, and goes on until its stdin is closed."""
    code = (
        "import sys; from pathlib import Path; from adapters.embedded_postgres import EmbeddedPostgres\n"
        "from adapters.embedded_postgres.server_state import PidFile\n"
        f"place = Path({str(directory)!r}); server = EmbeddedPostgres(place{arguments}); server.start()\n"
        f"print('up', PidFile.read(place / 'cluster').pid, flush=True)\n{then}\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def said(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def ended(running: subprocess.Popen[str]) -> None:
    running.kill()
    running.communicate()


def test_the_first_start_makes_a_utf8_database_with_checksums_and_our_settings(new_directory: Path) -> None:
    conninfo = EmbeddedPostgres(
        new_directory, settings={"work_mem": "7MB", "application_name": r"it's a \ sky"}
    ).start()
    wanted = "server_encoding data_checksums fsync synchronous_commit listen_addresses jit timezone work_mem"
    with psycopg.connect(conninfo) as connection:
        found = [connection.execute(f"SHOW {name}").fetchone()[0] for name in wanted.split()]  # type: ignore[index]
        assert found == ["UTF8", "on", "on", "on", "", "off", "UTC", "7MB"]
        assert connection.info.dbname == "starferry"
        assert connection.execute("SELECT lower('ÅNGSTRÖM'), 'B' < 'a'").fetchone() == ("ångström", True)
        reset = connection.execute("SELECT reset_val FROM pg_settings WHERE name = 'application_name'").fetchone()
        assert reset == (r"it's a \ sky",)


def test_what_was_committed_is_there_after_a_restart(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    note(server.start(), "first light")
    server.stop()
    assert note(server.start()) == ["first light"]


def test_stop_ends_every_process_and_may_be_called_again_or_before_any_start(new_directory: Path) -> None:
    server = EmbeddedPostgres(new_directory)
    server.stop()
    assert not new_directory.exists()
    conninfo = server.start()
    with psycopg.connect(conninfo):
        server.stop()
    assert is_free(new_directory / "server.lock")
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(conninfo)


def test_running_tells_another_program_about_the_server_and_never_starts_it(new_directory: Path) -> None:
    other = EmbeddedPostgres(new_directory)
    assert other.running() is None
    assert not new_directory.exists()
    server = EmbeddedPostgres(new_directory)
    conninfo = server.start()
    assert other.running() == conninfo
    server.stop()
    assert other.running() is None


def test_running_says_no_while_a_killed_servers_files_are_still_there(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    server.start()
    os.kill(postmaster(directory), signal.SIGKILL)
    wait_until(lambda: server.running() is None)
    assert (directory / "cluster" / "postmaster.pid").exists()


def test_a_second_start_adopts_the_server(directory: Path) -> None:
    conninfo = EmbeddedPostgres(directory).start()
    before = postmaster(directory)
    assert EmbeddedPostgres(directory).start() == conninfo
    assert postmaster(directory) == before


def test_after_kill_9_of_the_server_the_next_start_has_all_that_was_committed(directory: Path) -> None:
    server = start_test_cluster(directory, durable=True)
    conninfo = server.start()
    note(conninfo, *(f"frame {number}" for number in range(500)))
    busy = psycopg.connect(conninfo, autocommit=True)
    # This backend doesn't look up from its work for long, and so doesn't notice that its postmaster is dead.
    busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 2000000000)")
    os.kill(postmaster(directory), signal.SIGKILL)
    assert len(note(server.start())) == 500
    busy.close()


@pytest.mark.parametrize("owner", ["another process", "a zombie"])
def test_a_stale_process_file_does_not_block_the_start(directory: Path, owner: str) -> None:
    server = EmbeddedPostgres(directory)
    server.start()
    text = (directory / "cluster" / "postmaster.pid").read_text()
    server.stop()
    zombie = subprocess.Popen(["true"])
    wait_until(lambda: os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT) is not None)
    pid = zombie.pid if owner == "a zombie" else os.getpid()
    _, _, rest = text.partition("\n")
    (directory / "cluster" / "postmaster.pid").write_text(f"{pid}\n{rest}")
    assert server.running() is None
    assert note(server.start(), "still here") == ["still here"]
    zombie.wait()


def test_the_server_ends_when_the_program_that_uses_it_is_killed(directory: Path) -> None:
    user = program(directory)
    assert said(user).startswith("up")
    ended(user)
    wait_until(lambda: is_free(directory / "server.lock"))
    assert not (directory / "cluster" / "postmaster.pid").exists(), "it should have ended in good order"


def test_the_server_stays_while_a_second_program_uses_it(directory: Path) -> None:
    user = program(directory)
    first = said(user)
    server = EmbeddedPostgres(directory)
    conninfo = server.start()
    ended(user)
    assert note(conninfo, "still here") == ["still here"]
    assert first == f"up {postmaster(directory)}"
    server.close()
    wait_until(lambda: is_free(directory / "server.lock"))


def test_close_leaves_the_server_to_another_program(directory: Path) -> None:
    server = EmbeddedPostgres(directory)
    conninfo = server.start()
    user = program(directory, then="server.close(); print('closed', flush=True)")
    user.communicate()
    assert note(conninfo, "still here") == ["still here"]


def test_an_orphaned_server_is_adopted(directory: Path) -> None:
    user = program(directory, arguments=", die_with_users=False")
    before = said(user)
    ended(user)
    server = EmbeddedPostgres(directory)
    assert note(server.start(), "still here") == ["still here"]
    assert before == f"up {postmaster(directory)}"


def test_of_two_programs_that_start_at_once_one_wins_and_one_adopts(new_directory: Path) -> None:
    programs = [program(new_directory), program(new_directory)]
    try:
        words = {said(user) for user in programs}
        assert words == {f"up {postmaster(new_directory)}"}
    finally:
        for user in programs:
            ended(user)


def test_a_cluster_whose_making_was_killed_is_made_anew(new_directory: Path) -> None:
    user = program(new_directory)
    wait_until(lambda: (new_directory / "cluster.new" / "base" / "1").exists())
    ended(user)
    assert not (new_directory / "cluster").exists()
    assert note(EmbeddedPostgres(new_directory).start(), "whole") == ["whole"]
    assert not (new_directory / "cluster.new").exists()


def test_files_that_are_no_database_are_left_alone(new_directory: Path) -> None:
    (new_directory / "cluster").mkdir(parents=True)
    (new_directory / "cluster" / "thesis.tex").write_text("years of work")
    with pytest.raises(Misconfigured, match="something else than a database"):
        EmbeddedPostgres(new_directory).start()
    assert (new_directory / "cluster" / "thesis.tex").read_text() == "years of work"


def test_a_server_that_cannot_start_says_why(directory: Path) -> None:
    with pytest.raises(Misconfigured, match=r"didn't start: .*shared_buffer\b"):
        EmbeddedPostgres(directory, settings={"shared_buffer": "1GB"}).start()
    assert is_free(directory / "use.lock")
    assert note(EmbeddedPostgres(directory).start(), "mended") == ["mended"]


@pytest.mark.parametrize("name", ["a folder with spaces", 'night\'s "data", 2026 é', "/".join(["long" * 40] * 3)])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    server = EmbeddedPostgres(tmp_path / name / "postgres")
    try:
        conninfo = server.start()
        assert note(conninfo, "here") == ["here"]
    finally:
        server.stop()
    sockets = Path(str(conninfo_to_dict(conninfo)["host"]))
    assert sockets.is_relative_to(tmp_path) or not sockets.exists(), "a temporary folder was left behind"


@pytest.mark.parametrize("name", ["short", "/".join(["long" * 40] * 3)])
def test_a_server_started_again_after_a_kill_is_found_where_it_was(tmp_path: Path, name: str) -> None:
    """Programs that were connected come back to the address that they know, wherever the socket had to be."""
    server = EmbeddedPostgres(tmp_path / name / "postgres")
    try:
        conninfo = server.start()
        note(conninfo, "before")
        os.kill(postmaster(tmp_path / name / "postgres"), signal.SIGKILL)
        wait_until(lambda: server.running() is None)
        assert server.start() == conninfo
        assert note(conninfo) == ["before"]
    finally:
        server.stop()
    sockets = Path(str(conninfo_to_dict(conninfo)["host"]))
    assert sockets.is_relative_to(tmp_path) or not sockets.exists(), "a temporary folder was left behind"


def test_a_temporary_socket_folder_goes_with_the_last_program_even_when_that_is_killed(tmp_path: Path) -> None:
    directory = tmp_path / "/".join(["long" * 40] * 3)
    user = program(directory)
    said(user)
    found = PidFile.read(directory / "cluster")
    assert found is not None
    assert found.sockets is not None
    assert not found.sockets.is_relative_to(tmp_path)
    ended(user)
    wait_until(lambda: not found.sockets.exists())  # type: ignore[union-attr]


@pytest.mark.parametrize("change", ["gone", pytest.param("another's", marks=only_root), "open to all", "a link"])
def test_a_socket_folder_that_may_be_somebody_elses_is_not_taken_again(tmp_path: Path, change: str) -> None:
    previous = tmp_path / "starferry-postgres-previous"
    target = previous.with_name("starferry-postgres-target")
    target.mkdir(mode=0o700)
    if change == "another's":
        os.chown(target, 12345, -1)
    if change == "open to all":
        target.chmod(0o755)
    if change == "a link":
        previous.symlink_to(target)
    elif change != "gone":
        target.rename(previous)
    taken = socket_folder(tmp_path / ("long" * 40), previous, owner=os.geteuid())
    try:
        assert taken != previous
        assert taken.is_dir()
    finally:
        taken.rmdir()


def test_only_the_password_lets_one_in_and_only_the_owner_can_read_it(directory: Path) -> None:
    conninfo = EmbeddedPostgres(directory).start()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(make_conninfo(conninfo, password="guess"))
    modes = {name: (directory / name).stat().st_mode & 0o777 for name in ("password", "cluster", "run")}
    sockets = Path(str(conninfo_to_dict(conninfo)["host"]))
    assert modes["password"] == 0o600
    assert modes["cluster"] == 0o700
    assert sockets.stat().st_mode & 0o777 == 0o700
    password = str(conninfo_to_dict(conninfo)["password"])
    told = Path(f"/proc/{postmaster(directory)}/cmdline").read_bytes() + (directory / "start.log").read_bytes()
    assert password.encode() not in told
    assert not (directory / "password.initdb").exists()


@only_root
def test_root_can_use_a_private_folder_whose_rights_stay_as_they_are(tmp_path: Path) -> None:
    private = tmp_path / "home" / "data"
    private.mkdir(parents=True)
    for folder in (private, private.parent):
        folder.chmod(0o700)
    above = [private, *private.parents]
    before = [(folder.stat().st_mode, folder.stat().st_uid, folder.stat().st_gid) for folder in above]
    server = EmbeddedPostgres(private / "postgres")
    try:
        assert note(server.start(), "here") == ["here"]
        assert note(server.start()) == ["here"]
    finally:
        server.stop()
    assert [(folder.stat().st_mode, folder.stat().st_uid, folder.stat().st_gid) for folder in above] == before


@only_where_root_can_be_others
def test_root_serves_from_a_public_folder_without_any_privilege() -> None:
    with tempfile.TemporaryDirectory() as public:
        Path(public).chmod(0o755)
        server = EmbeddedPostgres(Path(public) / "postgres")
        try:
            server.start()
            status = Path(f"/proc/{postmaster(Path(public) / 'postgres')}/status").read_text()
        finally:
            server.stop()
    assert "\nUid:\t0\t" not in status
    assert "\nCapEff:\t0000000000000000\n" in status


@only_root
def test_a_cluster_moves_from_one_way_of_running_to_another(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = [*identities(0, 0), *identities(0, 0)]
    worked: list[str] = []
    for number, way in enumerate(ways):

        def only(*_: int, way: Identity = way) -> Sequence[Identity]:
            return [way]

        monkeypatch.setattr(cluster, "identities", only)
        server = EmbeddedPostgres(directory)
        try:
            assert note(server.start(), str(number)) == [*worked, str(number)]
        except Misconfigured as error:
            assert "can't run as root" in str(error)  # noqa: PT017 - this system may forbid some of the ways
            continue
        worked.append(str(number))
        assert (directory / "cluster").stat().st_uid == way.uid
        server.stop()
    assert worked


@only_where_root_can_be_others
def test_root_runs_the_server_as_the_owner_of_its_directory(new_directory: Path) -> None:
    new_directory.mkdir()
    os.chown(new_directory, 60_700, 60_700)
    server = EmbeddedPostgres(new_directory)
    assert note(server.start(), "theirs") == ["theirs"]
    server.stop()
    # start.log is replaced at each start, whoever wrote it.
    assert {path.lstat().st_uid for path in new_directory.rglob("*") if path.name != "start.log"} == {60_700}


def test_a_fresh_database_is_empty_and_gone_afterwards(directory: Path) -> None:
    conninfo = start_test_cluster(directory).start()
    with fresh_database(conninfo) as fresh:
        assert note(fresh, "mine") == ["mine"]
        left_open = psycopg.connect(fresh)
    left_open.close()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(fresh)
    assert note(conninfo) == []
