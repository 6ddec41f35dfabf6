"""Gives the files of a stopped cluster to whoever runs the server this time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from domain.errors import Misconfigured


def give(path: Path, uid: int, gid: int) -> None:
    """Make `path` and all below it belong to `uid`; nothing happens unless we are root, or where it does already.

    It takes a few milliseconds per thousand files and mends a start that was cut short, or another way of starting.
    Symbolic links aren't followed, and files with a second name elsewhere are left alone: that name may be somebody's.
    """
    if os.geteuid() != 0:
        return
    try:
        _give(path, uid, gid)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                _give(Path(folder, name), uid, gid)
    except OSError as error:
        raise Misconfigured(
            f"{path} can't be given to the user that runs the embedded PostgreSQL: {error.strerror}."
        ) from error


def _give(path: Path, uid: int, gid: int) -> None:
    found = path.lstat()
    if found.st_uid == uid or (not stat.S_ISDIR(found.st_mode) and found.st_nlink > 1):
        return
    os.chown(path, uid, gid, follow_symlinks=False)
