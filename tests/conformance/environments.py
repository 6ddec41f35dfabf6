"""Other people's clients, each in a Python environment of its own below `.conformance/`, made on demand with pip.

They are under the GPL: this project runs them as separate programs and imports nothing of them.
`python -m tests.conformance.environments` makes all of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".conformance"
REQUIREMENTS = Path(__file__).parent / "requirements"
CLIENTS = tuple(sorted(file.stem for file in REQUIREMENTS.glob("*.txt")))
PATIENCE = 90.0
"""Seconds for an environment that a test is waiting for: it has 120."""
LONG_PATIENCE = 900.0
"""The same when they are made beforehand."""

_failed: dict[str, str] = {}


class Unavailable(Exception):
    """An environment can't be made here; says why."""


def interpreter(client: str, patience: float = PATIENCE) -> Path:
    """The Python that has the client. Raises Unavailable, at once when it was tried before."""
    if client in _failed:
        raise Unavailable(_failed[client])
    requirements = REQUIREMENTS / f"{client}.txt"
    made_of = requirements.read_bytes() + sys.version.encode()
    folder = FOLDER / f"{client}-{hashlib.sha256(made_of).hexdigest()[:12]}"
    FOLDER.mkdir(exist_ok=True)
    verdict, begun = FOLDER / f"{client}.failed", time.time()
    with _alone(client):
        if not (folder / "complete").exists():
            try:
                if verdict.exists() and verdict.stat().st_mtime >= begun:  # another process has tried meanwhile
                    raise Unavailable(verdict.read_text())
                _make(folder, requirements, time.monotonic() + patience)
            except Unavailable as error:
                _failed[client] = str(error)
                verdict.write_text(str(error))
                raise
    return folder / "bin" / "python"


def _make(folder: Path, requirements: Path, deadline: float) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--retries", "1", "--timeout", "15", "--no-deps", "-r", requirements]
    command += ["--only-binary", "astropy,numpy,pyerfa,pillow"]  # where there is no wheel, say so at once
    try:
        left = max(1.0, deadline - time.monotonic())
        done = subprocess.run(command, capture_output=True, text=True, timeout=left, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"pip takes too long for {requirements.name}; `make conformance-venvs` waits longer"
        ) from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise Unavailable(f"pip can't install {requirements.name}: {' '.join(errors[-1:])}")
    (folder / "complete").touch()


@contextmanager
def _alone(client: str) -> Iterator[None]:
    with (FOLDER / f"{client}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def clean_environment(**more: str) -> dict[str, str]:
    """What a client's process sees: nothing of ours, no proxy, no metrics sent to anybody."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "OPENTSDB_PYTHON_METRICS_TEST_MODE": "True",
        "AWS_EC2_METADATA_DISABLED": "true",
        **more,
    }


if __name__ == "__main__":
    failures = 0
    for name in CLIENTS:
        try:
            print(f"{name}: {interpreter(name, LONG_PATIENCE)}")
        except Unavailable as error:
            print(f"{name}: {error}", file=sys.stderr)
            failures = 1
    sys.exit(failures)
