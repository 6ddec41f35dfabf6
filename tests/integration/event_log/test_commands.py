"""The commands as an operator meets them: what they print, exit codes, and kill -9 in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from adapters.event_store.log import PostgresEventLog
from adapters.event_store.seals import Sealer
from api.cli import cli
from tests.integration.event_log.stories import contents

ROOT = Path(__file__).resolve().parents[3]
Run = Callable[..., Result]

KILLED_WHILE_EXPORTING = """
import os, signal
from adapters.event_store import export_format, exporting
exporting.BLOCK_EVENTS = 7
def frame(self, content, seen=[]):
    seen.append(content)
    whole = self._compressor.compress(content)
    if len(seen) == 6:
        self._file.write(whole[: len(whole) // 2])
        self._file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    self._file.write(whole)
export_format.Writer._frame = frame
"""
KILLED_WHILE_IMPORTING = """
import os, signal
from adapters.event_store import importing
def positions(self, header, upto, seen=[], known=importing.Importer._positions):
    seen.append(upto)
    if len(seen) == 4:
        os.kill(os.getpid(), signal.SIGKILL)  # within the block's transaction, when all but this is done
    return known(self, header, upto)
importing.Importer._positions = positions
"""


def killed(patch: str, conninfo: str, data: Path, *arguments: str) -> None:
    """Run a command in a process of its own that ends itself by SIGKILL at the point that `patch` chooses."""
    program = f"{patch}\nimport sys\nfrom api.cli import main\nmain()\n"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STARFERRY_")}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--data", str(data)],
        env={**clean, "PYTHONPATH": str(ROOT), "DATABASE_URL": conninfo},
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command on a database."""

    def command(conninfo: str, *arguments: str) -> Result:
        monkeypatch.setenv("DATABASE_URL", conninfo)
        return CliRunner().invoke(cli, [*arguments, "--data", str(tmp_path / "data")])

    return command


def test_verify_ends_with_1_and_says_what_to_do(sealed: str, run: Run) -> None:
    clean = run(sealed, "events", "verify")
    assert clean.exit_code == 0
    assert clean.stdout.splitlines()[-1] == "0 findings, 0 warnings"
    noted = next(line for line in clean.stdout.splitlines() if "note elsewhere" in line).split()[-1]
    assert run(sealed, "events", "verify", "--expect", noted).exit_code == 0
    with psycopg.connect(sealed) as connection:
        connection.execute("DELETE FROM starferry.starferry_events WHERE originator_id = 'frame:f4'")
    broken = run(sealed, "events", "verify")
    assert broken.exit_code == 1
    assert broken.stdout.startswith("MISSING  position ")
    assert "1 of 10 sealed events aren't there.\n    What to do: " in broken.stdout


def test_verify_as_json(sealed: str, run: Run) -> None:
    with psycopg.connect(sealed) as connection:
        connection.execute("DELETE FROM starferry.starferry_events WHERE originator_id = 'frame:f4'")
    told = [json.loads(line) for line in run(sealed, "events", "verify", "--json").stdout.splitlines()]
    assert [line["finding"]["kind"] for line in told[:-1]] == ["missing", "claim", "claim"]
    assert all(line["advice"] for line in told[:-1])
    assert told[-1]["summary"]["findings"] == 3


def test_seal_seals_up_to_the_end(sealed: str, run: Run) -> None:
    assert run(sealed, "events", "seal").stdout == "1 new seal.\n"
    assert run(sealed, "events", "seal").stdout == "0 new seals.\n"
    assert "0 of these events aren't sealed" in run(sealed, "events", "verify").stdout


def test_kill_9_in_the_middle_of_export_and_import(kept: str, empty: str, run: Run, tmp_path: Path) -> None:
    path, part = tmp_path / "log.zst", tmp_path / "log.zst.part"
    Sealer(kept).seal_all()
    killed(KILLED_WHILE_EXPORTING, kept, tmp_path / "data", "events", "export", str(path))
    assert not path.exists()
    assert part.exists()
    assert "--resume" in str(run(kept, "events", "export", str(path)).exception)
    resumed = run(kept, "events", "export", str(path), "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert not part.exists()

    killed(KILLED_WHILE_IMPORTING, empty, tmp_path / "data", "events", "import", str(path))
    begun = len(contents(empty)["events"])
    assert 0 < begun < len(contents(kept)["events"])
    assert run(empty, "events", "verify").exit_code == 0
    completed = run(empty, "events", "import", str(path))
    assert completed.exit_code == 0, completed.output
    assert f"{begun} were here already" in completed.stdout
    assert contents(empty) == contents(kept)
    assert run(empty, "events", "verify").stdout.splitlines()[-1] == "0 findings, 0 warnings"


def test_export_to_standard_output_is_the_file_alone(kept: str, empty: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "log.zst"
    path.write_bytes(run(kept, "events", "export", "-").stdout_bytes)
    would = run(empty, "events", "import", str(path), "--dry-run")
    assert would.exit_code == 0, would.output
    assert "dry run" in would.stdout
    assert contents(empty)["events"] == []
    assert "0 events imported" not in run(empty, "events", "import", str(path)).stdout
    assert contents(empty) == contents(kept)


def test_an_import_beside_running_policies_is_refused(kept: str, empty: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "log.zst"
    run(kept, "events", "export", str(path))
    with psycopg.connect(empty, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(7236837103)")
        refused = run(empty, "events", "import", str(path))
    assert "is running on this store: stop it first" in str(refused.exception)
    log = PostgresEventLog(empty)
    assert log.head() == 0
    log.close()
