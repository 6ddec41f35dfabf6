"""What lies where in the directory of the embedded database."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from domain.errors import Misconfigured

# PostgreSQL keeps paths in buffers of 1024 bytes and appends file names of its own.
LONGEST_PATH = 900


class Layout(msgspec.Struct, frozen=True):
    """The paths below one database directory."""

    directory: Path

    @classmethod
    def of(cls, directory: Path) -> Layout:
        """Raises Misconfigured for a path that PostgreSQL can't work with."""
        whole = os.path.abspath(directory)
        if len(os.fsencode(whole)) > LONGEST_PATH or "\n" in whole:
            raise Misconfigured(
                "The path of the data directory is longer than PostgreSQL can handle or holds a line break: "
                "choose another with --data."
            )
        return cls(Path(whole))

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory. It is there only when it is whole."""
        return self.directory / "cluster"

    @property
    def unfinished(self) -> Path:
        """Where a cluster is made, before a rename gives it its name."""
        return self.directory / "cluster.new"

    @property
    def sockets(self) -> Path:
        """The folder of the Unix socket, where the path is short enough for one."""
        return self.directory / "run"

    @property
    def password(self) -> Path:
        """The password of the database's only role."""
        return self.directory / "password"

    @property
    def start_output(self) -> Path:
        """What the server says before its log is open, and what initdb says."""
        return self.directory / "start.log"

    @property
    def start_lock(self) -> Path:
        """Held while somebody starts or stops the server."""
        return self.directory / "start.lock"

    @property
    def use_lock(self) -> Path:
        """Held, shared, by each program that uses the server."""
        return self.directory / "use.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server's processes themselves, so it is free only when the last of them is gone."""
        return self.directory / "server.lock"
