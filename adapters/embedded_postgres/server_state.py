"""What postmaster.pid and the processes tell about a server."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import msgspec
from psycopg import pq
from psycopg.conninfo import make_conninfo

from adapters.embedded_postgres.sockets import PORT
from domain.errors import Misconfigured

# Only a stopped process leaves a connection hanging.
PING_SECONDS = 2


class PidFile(msgspec.Struct, frozen=True):
    """The part of postmaster.pid that matters: process, socket folder, and whether connections are accepted."""

    pid: int
    sockets: Path | None
    ready: bool

    @classmethod
    def read(cls, cluster: Path) -> PidFile | None:
        """None where there is none or it is still being written. Raises Misconfigured when we may not look."""
        try:
            lines = (cluster / "postmaster.pid").read_text().split("\n")
            pid = abs(int(lines[0]))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except PermissionError as error:
            raise Misconfigured(
                f"{cluster} belongs to another user: run this as the user that started Starferry, or as root."
            ) from error
        sockets = Path(lines[4]) if len(lines) > 4 and lines[4] else None
        return cls(pid, sockets, len(lines) > 7 and lines[7].strip() == "ready")

    def answers(self) -> bool:
        """Whether a server accepts connections there, without logging in."""
        if not self.ready or self.sockets is None:
            return False
        where = make_conninfo(
            host=str(self.sockets), port=PORT, dbname="postgres", user="nobody", connect_timeout=PING_SECONDS
        )
        return pq.PGconn.ping(where.encode()) == pq.Ping.OK


def is_alive(pid: int, cluster: Path) -> bool:
    """Whether the process works in this cluster: not a zombie, nor another process that was given its number."""
    process = Path("/proc", str(pid))
    try:
        return os.readlink(process / "cwd") == str(cluster.resolve())
    except PermissionError:
        # Root of a container may not look at other users' processes so closely. The command line tells the postmaster.
        pass
    except OSError:
        return False
    try:
        return os.fsencode(cluster) in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def end_orphans(cluster: Path) -> None:
    """End the processes that outlived their postmaster, which keep a new one from starting.

    Most notice its death by themselves; one in a long computation doesn't.
    """
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _is_orphan(process, cluster):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(process.name), signal.SIGQUIT)


def _is_orphan(process: Path, cluster: Path) -> bool:
    try:
        return os.readlink(process / "cwd") == str(cluster.resolve())
    except PermissionError:
        pass
    except OSError:
        return False
    # As root of a container again: a server process of the cluster's user whose parent is no server process.
    try:
        title = (process / "cmdline").read_bytes()
        parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        parents_name = Path("/proc", parent, "comm").read_text().strip()
        owners = process.stat().st_uid, cluster.stat().st_uid
    except OSError:
        return False
    return title.startswith(b"postgres: ") and parents_name != "postgres" and owners[0] == owners[1]
