"""A file store in a directory of this host or of a network mount."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from adapters.file_store import identity
from adapters.file_store.disk_faults import classify
from adapters.file_store.durable import Folders, sync
from adapters.file_store.incoming import Incoming
from adapters.file_store.paths import INCOMING, candidates, checked
from application.ports.clock import Clock
from application.ports.file_store import Staged, Staging, Stored
from domain.errors import Conflict, InvalidInput, NotFound, RetryLater

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_TRIES = 20
_PIECE = 1024 * 1024


class DirectoryStore:
    """Keeps a file under `<root>/<path>`; the key is its md5 (implements application.ports.file_store.FileStore).

    A final name appears only when all its bytes are on the disk, by a hard link, and is never written to again. So
    a process may be killed at any moment: what it leaves is a file in `<root>/.incoming`, removed by a later start.
    `root` must be one file system. Raises Misconfigured when it can't be used.
    """

    def __init__(self, root: Path, *, clock: Clock) -> None:
        self._root = root
        self._incoming = Incoming(root / INCOMING, clock)
        self._folders = Folders(root)

    def staging(self) -> AbstractContextManager[Staging]:
        """A place to receive bytes, on the same file system as the final one."""
        return self._incoming.staging()

    def keep(
        self,
        staged: Staged,
        path: str,
        *,
        filename: str,  # noqa: ARG002
        content_type: str = "",  # noqa: ARG002
        observed: datetime | None = None,  # noqa: ARG002
    ) -> Stored:
        """Give the bytes their final name: `path`, or `<basename>~<start of md5><extension>` beside it.

        A file with equal bytes that is there already is adopted. Raises InvalidInput for a path that leaves the
        root, RetryLater when the disk is full, Misconfigured when it can't be written.
        """
        md5 = staged.hashes.md5
        try:
            with staged.file.open("rb") as source:
                identity.remember(source.fileno(), md5)
            for candidate in candidates(checked(path), md5):
                if self._settle(staged.file, self._root / candidate):
                    return Stored(path=candidate, key=md5)
        except NotADirectoryError:
            raise InvalidInput("A part of the path that should be a folder is a file.", field="path") from None
        except OSError as error:
            raise classify(error) from error
        raise Conflict("Other files hold every name that these bytes could get in the file store.")

    def open(self, path: str, key: str) -> BinaryIO:
        """The file, if it still holds the bytes that `key` names. Raises NotFound, RetryLater."""
        file = self._root / checked(path)
        try:
            reader = file.open("rb")
        except OSError as error:
            raise classify(error) from error
        try:
            if identity.md5_of(reader.fileno()) == key:
                return reader
        except OSError as error:
            reader.close()
            raise classify(error) from error
        reader.close()
        raise NotFound("The file is no longer in the file store.")

    def size(self, path: str, key: str) -> int:
        """Bytes of the file. Raises NotFound, RetryLater."""
        with self.open(path, key) as reader:
            return os.fstat(reader.fileno()).st_size

    def delete(self, path: str, key: str) -> None:
        """Remove the file, if it still holds the bytes that `key` names, and the folders that it leaves empty."""
        file = self._root / checked(path)
        try:
            # one deletion at a time: else a second one could remove what was kept anew after the first
            with self._alone(), contextlib.suppress(NotFound, FileNotFoundError):
                self.open(path, key).close()
                file.unlink()
                sync(file.parent)
            self._folders.prune(file.parent)
        except OSError as error:
            raise classify(error) from error

    def url(self, path: str, key: str, *, filename: str, expires: int = 172_800) -> str:  # noqa: ARG002
        """Empty: the API serves these files."""
        return ""

    def _settle(self, source: Path, final: Path) -> bool:
        """Make `final` hold the bytes of `source`, durably; False when it holds others."""
        for _ in range(_TRIES):
            try:
                self._folders.make(final.parent)
                self._place(source, final)
            except FileNotFoundError:
                continue  # a deletion removed the empty folder
            except FileExistsError:
                with contextlib.suppress(FileNotFoundError):  # it was deleted while we looked
                    if not _same_bytes(source, final):
                        return False
                    sync(final)
                    sync(final.parent)
                    return True
                continue
            sync(final.parent)
            return True
        raise RetryLater("The folder keeps being removed while a file is put there; try again.")

    def _place(self, source: Path, final: Path) -> None:
        try:
            os.link(source, final)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            self._place_copy(source, final)

    def _place_copy(self, source: Path, final: Path) -> None:
        """For file systems without hard links: a complete copy is renamed, under a lock, if the name is free."""
        copy = self._incoming.new_name()
        try:
            with source.open("rb") as reader, copy.open("xb") as writer:
                shutil.copyfileobj(reader, writer, _PIECE)
                writer.flush()
                os.fsync(writer.fileno())
                identity.remember(writer.fileno(), identity.md5_of(reader.fileno()))
            with self._alone():
                if os.path.lexists(final):
                    raise FileExistsError(errno.EEXIST, "the name is taken")
                copy.rename(final)
        finally:
            copy.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else, in any process, is in here."""
        with (self._root / INCOMING / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _same_bytes(one: Path, other: Path) -> bool:
    if not other.is_file():
        # a folder, or a link to nowhere, or just deleted: only the last may be tried again
        other.lstat()
        return False
    with one.open("rb") as left, other.open("rb") as right:
        if os.fstat(left.fileno()).st_size != os.fstat(right.fileno()).st_size:
            return False
        while piece := left.read(_PIECE):
            if piece != right.read(_PIECE):
                return False
    return True
