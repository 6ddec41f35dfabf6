"""Where bytes arrive: one file an upload, hashed as it is written, gone when the upload's context ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from adapters.file_store.disk_faults import classify
from adapters.file_store.hashing import Hasher
from application.ports.clock import Clock
from application.ports.file_store import Staged
from domain.errors import Misconfigured

_PREFIX, _SUFFIX = "starferry-", ".incoming"

LEFTOVER_AGE = timedelta(days=1)
"""An arriving file that nobody has written to for so long belonged to a process that died."""


class Incoming:
    """A folder for arriving bytes, shared by any number of threads and processes.

    Making one removes what dead processes left there. Raises Misconfigured when the folder can't be used.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._sweep(clock.now().timestamp() - LEFTOVER_AGE.total_seconds())
        except OSError as error:
            raise Misconfigured("The folder for arriving files can't be made or written.") from error

    def new_name(self) -> Path:
        """A name that no other upload has."""
        return self._folder / f"{_PREFIX}{os.urandom(16).hex()}{_SUFFIX}"

    @contextlib.contextmanager
    def staging(self) -> Iterator[Arrival]:
        """Implements FileStore.staging. Raises RetryLater when the disk is full."""
        try:
            arrival = Arrival(self.new_name())
        except OSError as error:
            raise classify(error) from error
        try:
            yield arrival
        finally:
            arrival.discard()

    def _sweep(self, before: float) -> None:
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if not (entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)):
                    continue
                with contextlib.suppress(FileNotFoundError):  # another process sweeps at the same time
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        os.unlink(entry.path)


class Arrival:
    """One upload in progress (implements application.ports.file_store.Staging)."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._out = file.open("xb", buffering=0)
        self._hasher = Hasher()
        self._size = 0
        self._staged: Staged | None = None

    def write(self, data: bytes) -> None:
        """Take the next bytes. Raises RetryLater when the disk is full."""
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._out.write(rest) :]
        except OSError as error:
            raise classify(error) from error
        self._hasher.update(data)
        self._size += len(data)

    def finish(self) -> Staged:
        """Bring all bytes to the disk. Asked again, it gives the same answer. Raises RetryLater."""
        if self._staged is None:
            try:
                os.fsync(self._out.fileno())
                self._out.close()
            except OSError as error:
                raise classify(error) from error
            self._staged = Staged(file=self._file, size=self._size, hashes=self._hasher.result())
        return self._staged

    def discard(self) -> None:
        """Close and remove the arriving file; what was kept of it lives under another name."""
        with contextlib.suppress(OSError):
            self._out.close()
        with contextlib.suppress(OSError):  # what can't be removed now is swept at a later start
            self._file.unlink()
