"""A folder for the Unix socket.

A socket rather than a TCP port: it costs less per round trip, can't clash with another server's port, and the file
system keeps everybody else out before the password does.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

PORT = 5432
NAME = f".s.PGSQL.{PORT}"
# sun_path has 108 bytes with the closing zero on Linux, 104 elsewhere.
LONGEST = 103
_PREFIX = "starferry-postgres-"


def socket_folder(preferred: Path, previous: Path | None, owner: int) -> Path:
    """An empty folder, ours alone, in which a socket can be made.

    `preferred` (made if absent) where its path is short enough and its file system has sockets, which those that
    share a Mac's or PC's folders with a container haven't; else one below the folder of temporary files. That is the
    `previous` server's if it is still there and `owner`'s, for programs that were connected to that server look for the
    next one in the same place; else a new one, which nobody else can have made before us. Call it only when no server
    of this directory is alive.
    """
    if _fits(preferred):
        preferred.mkdir(mode=0o700, exist_ok=True)
        _empty(preferred)
        if _has_sockets(preferred):
            return preferred
    if previous is not None and _is_ours(previous, owner):
        _empty(previous)
        return previous
    made = Path(tempfile.mkdtemp(prefix=_PREFIX))
    if _fits(made):
        return made
    made.rmdir()
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))


def is_temporary(folder: Path) -> bool:
    """Whether a folder of `socket_folder` is of no use after the server's last user."""
    return folder.name.startswith(_PREFIX) and not folder.is_symlink()


def forget(folder: Path) -> None:
    """Remove a folder of `socket_folder` if it was a temporary one."""
    if is_temporary(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path, owner: int) -> bool:
    """Whether it is a temporary folder that only `owner` or we can have made."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
    return is_temporary(folder) and private and found.st_uid in (owner, os.geteuid())


def _empty(folder: Path) -> None:
    for name in (NAME, f"{NAME}.lock"):
        (folder / name).unlink(missing_ok=True)


def _fits(folder: Path) -> bool:
    # libpq takes a comma for the end of one host and the beginning of the next.
    return len(os.fsencode(folder / NAME)) <= LONGEST and "," not in str(folder)


def _has_sockets(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(str(folder / NAME))
        except OSError:
            return False
        finally:
            (folder / NAME).unlink(missing_ok=True)
    return True
