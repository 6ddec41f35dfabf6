"""Runs PostgreSQL's programs as somebody else, by way of launch.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from adapters.embedded_postgres.identity import Identity
from adapters.embedded_postgres.private_file import create
from domain.errors import Misconfigured

_LAUNCHER = Path(__file__).with_name("launch.py")
# Nothing of our environment, secrets least of all, is the server's business; nor may a PG… variable bend it.
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


class Launch(msgspec.Struct, frozen=True, omit_defaults=True):
    """What launch.py is asked to do; its docstring explains the fields."""

    argv: tuple[str, ...]
    identity: Identity | None = None
    reach: tuple[str, ...] = ()
    lock: str | None = None
    use_lock: str | None = None
    passing: str | None = None
    detach: bool = False


def launch(request: Launch, output: Path | None = None) -> bool:
    """Run it to its end, or with `detach` until it runs, and say whether that went well.

    What the program says goes to `output`, a new file.
    """
    descriptor = create(output) if output else os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {"LC_ALL": "C"}
    try:
        finished = subprocess.run(
            [sys.executable, "-I", "-S", str(_LAUNCHER), msgspec.json.encode(request).decode()],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env=environment,
            # A Ctrl-C in our terminal is for us alone; we end the server when we are done with it.
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(descriptor)
    return finished.returncode == 0


def first_able(candidates: Iterable[Identity], programs: Path, folders: Sequence[Path]) -> Identity:
    """The first identity that can run the programs and enter the folders. Raises Misconfigured when none can."""
    # Unlike the others' --version, pg_config looks for itself in the file system first, as they do in earnest.
    argv = (str(programs / "pg_config"), "--version")
    reach = tuple(str(folder) for folder in folders)
    for identity in candidates:
        if launch(Launch(argv=argv, identity=identity, reach=reach)):
            return identity
    if os.geteuid() != 0:
        raise Misconfigured(
            "The embedded PostgreSQL can't be set up by a user without an entry in /etc/passwd: "
            "add one, start as another user, or set DATABASE_URL to use a database server of your own."
        )
    raise Misconfigured(
        "The embedded PostgreSQL can't run as root, and this system lets it become no other user that can reach "
        f"{folders[0]} and {programs}: start as an ordinary user, move both out of private folders, "
        "or set DATABASE_URL to use a database server of your own."
    )
