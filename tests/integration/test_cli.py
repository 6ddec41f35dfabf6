"""The command line as an operator meets it: real processes on a data folder of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.fits.night import make_night
from api.cli import cli
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


def starferry(*arguments: str, data: Path, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STARFERRY_")}
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments, "--data", str(data)],
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        input=stdin,
        check=False,
    )


class Terminal:
    """Runs commands within this process: what is about their start and end needs `starferry`."""

    def __init__(self, data: Path, conninfo: str) -> None:
        self.data, self._conninfo = data, conninfo

    def __call__(self, *arguments: str) -> Result:
        """What came of a command."""
        environment = {"DATABASE_URL": self._conninfo}
        return CliRunner().invoke(cli, [*arguments, "--data", str(self.data)], env=environment)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """Beside a data folder whose database stays up between commands, as beside a running `up`."""
    folder = tmp_path_factory.mktemp("cli") / "data"
    folder.mkdir()
    server = EmbeddedPostgres(folder / "postgres")
    yield Terminal(folder, server.start())
    server.stop()


@pytest.fixture(scope="module")
def data(terminal: Terminal) -> Path:
    """That folder, with what a first command makes."""
    assert starferry("projections", "status", data=terminal.data).returncode == 0
    return terminal.data


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    make_night(folder, frames=8, size=64)
    return folder


def test_a_user_and_a_token_are_made_and_the_token_is_printed_alone(data: Path) -> None:
    made = starferry("user", "create", "ops", "--superuser", "--password-stdin", data=data, stdin="correct horse\n")
    assert (made.returncode, made.stdout) == (0, "")
    token = starferry("token", "create", "ops", data=data)
    assert token.returncode == 0
    assert len(token.stdout.strip()) == 40
    assert int(token.stdout, 16) > 0
    again = starferry("user", "create", "ops", data=data)
    assert again.returncode == 1
    assert again.stderr.strip() == "starferry: There is a user ops already."


def test_a_token_for_nobody_is_refused_in_one_sentence(data: Path) -> None:
    refused = starferry("token", "create", "nobody", data=data)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.strip() == "starferry: There is no such active user."


def test_ingest_counts_what_is_new_known_and_failed_and_names_each_failure(
    data: Path, night: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.fits"
    broken.write_bytes(b"SIMPLE  = nonsense")
    first = starferry("ingest", str(night), str(broken), str(tmp_path / "absent.fits"), data=data)
    assert first.returncode == 1
    assert first.stdout.strip() == "8 ingested, 0 already there, 2 failed."
    assert "broken.fits: " in first.stderr
    assert "absent.fits: there is no such file or folder." in first.stderr
    second = starferry("ingest", str(night), data=data)
    assert (second.returncode, second.stdout.strip()) == (0, "0 ingested, 8 already there, 0 failed.")
    kept = [path for path in (data / "files").rglob("*.fits*") if path.is_file()]
    assert len(kept) == 8


def test_history_tells_a_frames_life_with_who_and_through_which_way_in(
    terminal: Terminal, data: Path, night: Path
) -> None:
    starferry("ingest", str(night), data=data)
    name = sorted(night.iterdir())[0].name.split(".")[0]
    told = terminal("history", "frame", name)
    assert told.exit_code == 0
    assert "frame.file_processed  by os:" in told.stdout
    assert "via cli" in told.stdout
    as_json = terminal("history", "frame", name, "--json")
    entry = json.loads(as_json.stdout.splitlines()[0])
    assert entry["stream"] == f"frame:{name}"
    before = terminal("history", "frame", name, "--at", "2001-01-01")
    assert before.stdout == ""
    missing = terminal("history", "frame", "nosuch")
    assert (missing.exit_code, str(missing.exception)) == (1, "There is no frame nosuch.")


def test_events_are_listed_in_order_and_shown_whole(terminal: Terminal, data: Path, night: Path) -> None:
    starferry("ingest", str(night), data=data)
    listed = terminal("events", "list", "--kind", "frame.file_processed", "--json", "--limit", "5")
    positions = [json.loads(line)["position"] for line in listed.stdout.splitlines()]
    assert len(positions) == 5
    assert positions == sorted(positions)
    shown = terminal("events", "show", str(positions[0]))
    whole = json.loads(shown.stdout)
    assert whole["event"] == "frame.file_processed"
    assert "headers" in whole["recorded"]["event"]
    assert terminal("events", "show", "999999").exit_code == 1


def test_rebuilding_every_read_model_gives_identical_content(data: Path, night: Path) -> None:
    starferry("ingest", str(night), data=data)
    rebuilt = starferry("projections", "rebuild", "all", "--verify", data=data)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "frames.frame: 8 rows" in rebuilt.stdout
    assert "DIFFERENT" not in starferry("projections", "rebuild", "frames", "--verify", data=data).stdout
    unknown = starferry("projections", "rebuild", "nosuch", data=data)
    assert unknown.returncode == 1
    assert "There is no read model nosuch" in unknown.stderr


def test_g05_files_without_headers_are_ingested_with_metadata(data: Path, tmp_path: Path) -> None:
    (tmp_path / "one-e92-summary.pdf").write_bytes(b"%PDF-1.4 one")
    (tmp_path / "one-e92-small.jpg").write_bytes(b"\xff\xd8\xff one")
    (tmp_path / "notes.txt").write_text("left alone")
    header = {
        "PROPID": "p", "DATE-OBS": "2024-05-17T03:12:45", "DAY-OBS": "20240516", "INSTRUME": "i", "SITEID": "s",
        "TELID": "t", "OBSTYPE": "SPECTRUM", "BLKUID": "0042",
    }  # fmt: skip
    options = [part for key, value in header.items() for part in ("--metadata", f"{key}={value}")]
    assert "nothing to ingest" in starferry("ingest", str(tmp_path), data=data).stderr
    done = starferry("ingest", str(tmp_path), *options, data=data)
    assert (done.returncode, done.stdout) == (0, "2 ingested, 0 already there, 0 failed.\n"), done.stderr
    thumbnail = ["--metadata", "frame_basename=one-e92-summary", "--metadata", "size=small"]
    (tmp_path / "two.jpg").write_bytes(b"\xff\xd8\xff two")
    done = starferry("ingest", str(tmp_path / "two.jpg"), *options, *thumbnail, data=data)
    assert (done.returncode, done.stdout) == (0, "1 ingested, 0 already there, 0 failed.\n"), done.stderr
    told = starferry("history", "frame", "one-e92-summary", data=data).stdout
    assert "thumbnail" in told
    lacking = starferry("ingest", str(tmp_path / "two.jpg"), "--metadata", "SITEID=s", data=data)
    assert (lacking.returncode, "lacks the required headers" in lacking.stderr) == (1, True)


@pytest.mark.parametrize("pair", ["SITEID", "=x", " =x", "A=b\nc"])
def test_metadata_that_are_no_pair_are_refused(data: Path, pair: str) -> None:
    refused = starferry("ingest", "x.pdf", "--metadata", pair, data=data)
    assert refused.returncode == 1
    assert refused.stderr.startswith("starferry: --metadata is KEY=VALUE")


def test_config_shows_sources_and_masks_secrets(tmp_path: Path) -> None:
    shown = starferry("config", data=tmp_path, AWS_SECRET_ACCESS_KEY="hidden-secret", COLUMNS="200")
    assert shown.returncode == 0
    assert "hidden-secret" not in shown.stdout
    assert "********" in shown.stdout
    assert "command line" in shown.stdout


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("STARFERRY_NOSUCH", "1", "STARFERRY_NOSUCH in the environment isn't a setting of Starferry"),
        ("STARFERRY_WORKERS", "many", "STARFERRY_WORKERS can't be 'many'"),
        ("STARFERRY_GCS_URL", "http://storage.example.org", "STARFERRY_GCS_URL can't be"),
        ("STARFERRY_FOLDER_ROOTS", "relative/path", "STARFERRY_FOLDER_ROOTS can't be"),
        ("STARFERRY_MASTER_KEYS", "old:dG9vLXNob3J0", "STARFERRY_MASTER_KEYS"),
    ],
)
def test_a_setting_that_cant_be_right_stops_the_start_and_is_named(
    data: Path, night: Path, name: str, value: str, sentence: str
) -> None:
    refused = starferry("ingest", str(night), data=data, **{name: value})
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "dG9vLXNob3J0" not in refused.stderr


def counted_uploads(root: str) -> float:
    lines = requests.get(f"{root}/metrics", timeout=10).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if "upload_file_runtime_count" in line)


def test_up_refuses_a_second_one_on_the_same_data_and_takes_files_through_the_api(tmp_path: Path, night: Path) -> None:
    folder = tmp_path / "data"
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STARFERRY_")}
    up = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "up", "--data", str(folder), "--port", str(port)],
        env={**clean, "PYTHONPATH": str(ROOT), "STARFERRY_API_PROCESSES": "2"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert up.stdout is not None
        line = up.stdout.readline()
        assert f"Starferry is ready at http://127.0.0.1:{port}/" in line
        second = starferry("up", "--port", str(port + 1), data=folder)
        assert second.returncode == 1
        assert f"Another Starferry (process {up.pid}) is running on" in second.stderr
        starferry("user", "create", "ops", "--superuser", data=folder)
        token = starferry("token", "create", "ops", data=folder).stdout.strip()
        root = f"http://127.0.0.1:{port}"
        sent = starferry("ingest", str(night), "--api-root", root, "--token", token, data=folder)
        assert sent.stdout.strip() == "8 ingested, 0 already there, 0 failed.", sent.stderr
        again = starferry("ingest", str(night), "--api-root", root, data=folder, STARFERRY_TOKEN=token)
        assert again.stdout.strip() == "0 ingested, 8 already there, 0 failed."
        told = {counted_uploads(root) for _ in range(20)}  # each by a new connection, to either process
        assert told == {8.0}
        answer = requests.get(f"{root}/frames/", headers={"Authorization": f"Token {token}"}, timeout=10).json()
        assert answer["count"] == 8
        wrong = starferry("ingest", str(night), "--api-root", root, "--token", "0" * 40, data=folder)
        assert wrong.returncode == 1
        assert "Invalid token." in wrong.stderr
    finally:
        up.terminate()
        up.communicate(timeout=30)
    assert up.returncode == 0
    deadline = time.monotonic() + 10
    while EmbeddedPostgres(folder / "postgres").running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert EmbeddedPostgres(folder / "postgres").running() is None


def test_up_fails_with_a_clear_sentence_when_the_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = starferry("up", "--port", str(taken.getsockname()[1]), data=tmp_path / "data")
    assert refused.returncode == 1
    assert "in use" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_password_that_is_too_short_leaves_no_account_behind(data: Path) -> None:
    short = starferry("user", "create", "eve", "--password-stdin", data=data, stdin="secret\n")
    assert (short.returncode, short.stderr.strip()) == (1, "starferry: A password has 8 to 1000 characters.")
    assert starferry("user", "create", "eve", data=data).returncode == 0
    assert starferry("user", "password", "eve", data=data, stdin="a longer secret\n").returncode == 0
    nobody = starferry("user", "password", "nobody", data=data, stdin="a longer secret\n")
    assert nobody.stderr.strip() == "starferry: There is no user nobody."


def test_e10_cacheaggregates_is_accepted_and_says_that_the_aggregate_is_live(tmp_path: Path) -> None:
    done = starferry("cacheaggregates", data=tmp_path / "nothing is made here")
    assert done.returncode == 0, done.stderr
    assert "Nothing to do" in done.stdout
    assert not list(tmp_path.iterdir())


def test_users_are_listed_changed_and_shut_out(terminal: Terminal) -> None:
    terminal("user", "create", "bea", "--proposal", "P-1")
    assert terminal("token", "create", "bea").exit_code == 0
    assert terminal("user", "change", "bea", "--staff").exit_code == 0
    assert terminal("user", "proposals", "bea", "P-2", "P-3").exit_code == 0

    def bea() -> dict[str, object]:
        lines = terminal("user", "list", "--json").stdout.splitlines()
        found: dict[str, object] = next(row for row in map(json.loads, lines) if row["username"] == "bea")
        return found

    assert bea() == {
        "username": "bea", "is_superuser": False, "is_staff": True, "active": True, "proposals": ["P-2", "P-3"],
        "learned": [], "synced": False, "tokens": 1,
    }  # fmt: skip
    assert terminal("user", "deactivate", "bea").exit_code == 0
    assert bea()["active"] is False
    assert str(terminal("token", "create", "bea").exception) == "There is no such active user."
    assert terminal("user", "activate", "bea").exit_code == 0
    assert bea()["active"] is True
    assert "bea" in terminal("user", "list").stdout
    nobody = terminal("user", "change", "nobody", "--superuser")
    assert (nobody.exit_code, str(nobody.exception)) == (1, "There is no user nobody.")
