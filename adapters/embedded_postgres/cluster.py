"""The embedded PostgreSQL server of one directory."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from adapters.embedded_postgres.binaries import binaries
from adapters.embedded_postgres.creation import ROLE, SETTINGS_FILE, ensure_cluster
from adapters.embedded_postgres.identity import identities
from adapters.embedded_postgres.layout import Layout
from adapters.embedded_postgres.locks import exclusive, is_free, share
from adapters.embedded_postgres.ownership import give
from adapters.embedded_postgres.private_file import replace_file
from adapters.embedded_postgres.program import Launch, first_able, launch
from adapters.embedded_postgres.server_log import complaint
from adapters.embedded_postgres.server_state import PidFile, end_orphans, is_alive
from adapters.embedded_postgres.settings import as_configuration, memory_of_this_machine, server_settings
from adapters.embedded_postgres.sockets import PORT, forget, is_temporary, socket_folder
from domain.errors import Misconfigured, RetryLater

DATABASE = "starferry"
POLL_SECONDS = 0.005
# Replaying the log after a crash can take minutes; so can the last checkpoint on a slow disk.
START_SECONDS = 600.0
STOP_SECONDS = 120.0
ORPHANS_SECONDS = 1.0


class EmbeddedPostgres:
    """A PostgreSQL server of our own with its data below `directory`, which is created if absent.

    Any number of programs may use it at once: the first `start` starts the server, later ones adopt it. It isn't a
    child of any of them. When the last program that has called `start` ends without stopping it, even by kill -9,
    the server is shut down too, unless `die_with_users` is false; then it runs until `stop`.

    `settings` are PostgreSQL's and override ours; they take effect when this object starts the server, not when it
    adopts one. The conninfo that is handed out holds the password: mask it before it is shown.
    """

    def __init__(
        self, directory: Path, *, settings: Mapping[str, str] | None = None, die_with_users: bool = True
    ) -> None:
        self._layout = Layout.of(directory)
        self._settings = dict(settings or {})
        self._die_with_users = die_with_users
        self._use: int | None = None

    def start(self) -> str:
        """Have the server run and return a conninfo of its database "starferry", which is created if absent.

        Raises Misconfigured when it can't run, with the reason and what to do, and RetryLater when one is there that
        doesn't answer.
        """
        self._own_directory()
        with exclusive(self._layout.start_lock):
            held_before = self._use is not None
            if self._use is None:
                self._use = share(self._layout.use_lock)
            try:
                if not self._await_previous():
                    self._launch()
                return self._ensure_database()
            except BaseException:
                if not held_before:
                    self._let_go()
                raise

    def running(self) -> str | None:
        """The conninfo when a server of this directory accepts connections, whoever started it; never starts one."""
        found = PidFile.read(self._layout.cluster)
        if found is None or not found.answers():
            return None
        return self._conninfo(found, DATABASE)

    def stop(self) -> None:
        """Shut the server down, whoever else uses it, and wait until its last process is gone.

        Open transactions are rolled back. Nothing happens when it isn't running. Raises RetryLater when it doesn't end.
        """
        if os.path.exists(self._layout.directory):
            with exclusive(self._layout.start_lock):
                self._shut_down()
        self._let_go()

    def close(self) -> None:
        """Say that we don't need the server any more: like `stop`, unless another program has started or adopted it."""
        if self._use is None:
            return
        with exclusive(self._layout.start_lock):
            self._let_go()
            if self._die_with_users and is_free(self._layout.use_lock):
                self._shut_down()

    def _own_directory(self) -> None:
        directory = self._layout.directory
        try:
            if not directory.exists():
                directory.mkdir(parents=True, exist_ok=True)
                above = directory.parent.stat()
                with suppress(Misconfigured):
                    give(directory, above.st_uid, above.st_gid)
                # The server's account must pass, and only pass, through a directory of root's.
                directory.chmod(0o711 if directory.stat().st_uid == 0 else 0o700)
            owner = directory.stat().st_uid
        except OSError as error:
            raise Misconfigured(f"The database directory {directory} can't be made: {error.strerror}.") from error
        if os.geteuid() not in (0, owner):
            raise Misconfigured(
                f"{directory} belongs to another user: run this as the user that started Starferry, or as root."
            )

    def _await_previous(self) -> bool:
        """True when a server answers, so that it can be adopted; false when none of its processes is left."""
        layout = self._layout
        found: PidFile | None = None
        begun = time.monotonic()

        def settled() -> bool:
            nonlocal found
            found = PidFile.read(layout.cluster)
            if found is not None and found.answers():
                return True
            alive = found is not None and is_alive(found.pid, layout.cluster)
            if not alive and time.monotonic() - begun > ORPHANS_SECONDS:
                end_orphans(layout.cluster)
            return not alive and is_free(layout.server_lock)

        if not _within(START_SECONDS, settled):
            raise RetryLater(f"A database server in {layout.directory} is alive but doesn't answer: stop it first.")
        return found is not None and found.answers()

    def _launch(self) -> None:
        layout, programs = self._layout, binaries()
        directory = layout.directory.stat()
        stale = PidFile.read(layout.cluster)
        previous = stale.sockets if stale is not None else None
        sockets = socket_folder(layout.sockets, previous, owner=_owner(layout.cluster))
        if previous is not None and previous != sockets:
            forget(previous)
        server = first_able(
            identities(directory.st_uid, directory.st_gid), programs, [layout.directory, sockets.parent]
        )
        ensure_cluster(layout, server, programs, durable=self._settings.get("fsync") != "off")
        settings = server_settings(memory_of_this_machine(), self._settings)
        replace_file(layout.cluster / SETTINGS_FILE, as_configuration(settings))
        # Its number may be another process's by now, which would make the server believe that it is running already.
        (layout.cluster / "postmaster.pid").unlink(missing_ok=True)
        give(layout.directory, directory.st_uid, directory.st_gid)
        give(layout.cluster, server.uid, server.gid)
        give(sockets, server.uid, server.gid)
        request = Launch(
            argv=(
                str(programs / "postgres"),
                *("-D", str(layout.cluster)),
                *("-p", str(PORT)),
                *("-c", f'unix_socket_directories="{str(sockets).replace(chr(34), chr(34) * 2)}"'),
            ),
            identity=server,
            lock=str(layout.server_lock),
            use_lock=str(layout.use_lock) if self._die_with_users else None,
            passing=str(sockets) if is_temporary(sockets) else None,
            detach=True,
        )
        if not (launch(request, layout.start_output) and self._await_answer()):
            raise Misconfigured(f"The embedded PostgreSQL didn't start: {complaint(layout)}")

    def _await_answer(self) -> bool:
        def settled() -> bool:
            return self.running() is not None or is_free(self._layout.server_lock)

        return _within(START_SECONDS, settled) and self.running() is not None

    def _ensure_database(self) -> str:
        found = PidFile.read(self._layout.cluster)
        if found is None:
            raise RetryLater(f"The embedded PostgreSQL in {self._layout.directory} ended just now: start it again.")
        try:
            with psycopg.connect(self._conninfo(found, "postgres"), autocommit=True) as connection:
                known = connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
                if known is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError as error:
            raise Misconfigured(
                f"The embedded PostgreSQL in {self._layout.directory} refuses us: {str(error).strip()}"
            ) from error
        return self._conninfo(found, DATABASE)

    def _conninfo(self, server: PidFile, database: str) -> str:
        try:
            password = self._layout.password.read_text()
        except OSError as error:
            raise Misconfigured(
                f"The database's password in {self._layout.password} can't be read: {error.strerror}."
            ) from error
        return make_conninfo(host=str(server.sockets), port=PORT, dbname=database, user=ROLE, password=password)

    def _shut_down(self) -> None:
        layout = self._layout
        found = PidFile.read(layout.cluster)
        if found is not None and is_alive(found.pid, layout.cluster):
            os.kill(found.pid, signal.SIGINT)
            if not _within(STOP_SECONDS, lambda: not is_alive(found.pid, layout.cluster)):
                os.kill(found.pid, signal.SIGQUIT)
        if not _within(ORPHANS_SECONDS, lambda: is_free(layout.server_lock)):
            end_orphans(layout.cluster)
            if not _within(STOP_SECONDS, lambda: is_free(layout.server_lock)):
                raise RetryLater(f"The database server in {layout.directory} doesn't end; is it another container's?")
        if found is not None and found.sockets is not None:
            forget(found.sockets)

    def _let_go(self) -> None:
        if self._use is not None:
            os.close(self._use)
            self._use = None


def _owner(path: Path) -> int:
    return path.stat().st_uid if path.exists() else os.geteuid()


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Ask until it holds, finely, for the start of an existing database takes no longer than a tenth of a second."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
