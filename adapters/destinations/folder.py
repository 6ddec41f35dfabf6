"""A folder on this server or on a mounted NAS.

A file is written under a hidden name beside its place (`.<name>.<digest>.part`), fsynced, read back and hashed, and
only then named. A crash at any point leaves either the hidden file, from which the next attempt goes on, or the
finished one.

Two workers may write one file at the same time, after one of them was thought dead. They write the same bytes to the
same places, so nothing that is written is ever cut off: the hidden file may be the delivered one by now.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from adapters.destinations import folder_tree
from adapters.destinations.connection_test import run_checks, write_and_remove
from adapters.destinations.exclusive_name import move_without_replacing, unlink_if_there
from adapters.destinations.folder_errors import classified
from adapters.destinations.hash_match import settled, verify
from application.ports.destination import Arrived, Check, Session, Upload
from domain.errors import ChecksumMismatch, GiveUp, RetryLater

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_WRITE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
"""O_NONBLOCK, so that a named pipe laid in our way can't stop the worker."""

_BLOCK = 1 << 20
_VANISHED = "The unfinished file has vanished; the upload starts anew."


class FolderDestination:
    """Delivers below `root`, which has to lie at or below one of `allowed_roots` once symbolic links are resolved.

    A session's `state` is empty: the hidden file's name follows from the upload. `remote_id` is inode, size and
    modification time (ns). `probe_folder` is where, below the root, the connection test writes.
    """

    keeps_session = False

    def __init__(
        self, root: Path, allowed_roots: Sequence[Path], chunk_size: int = 8 << 20, *, probe_folder: str = "/"
    ) -> None:
        self.chunk_size = chunk_size
        self._root = root
        self._allowed = tuple(allowed_roots)
        self._probe_folder = probe_folder

    def test(self) -> list[Check]:
        """See the port."""
        return run_checks(self._permitted, self._reach, lambda: write_and_remove(self, self._probe_folder))

    def find(self, upload: Upload) -> Arrived | None:
        """See the port. Reads and hashes the whole file. Raises GiveUp when something else than a file is there."""
        folders, name = folder_tree.split(upload.path)
        with classified(), folder_tree.opened(self._permitted()) as root:
            try:
                with folder_tree.below(root, folders) as directory:
                    arrived = _hashed(directory, name, upload.path)
                    folder_tree.sync(directory)
                    return arrived
            except FileNotFoundError:
                return None

    def look(self, upload: Upload, remote_id: str) -> Arrived | None:  # noqa: ARG002
        """See the port. A folder keeps no checksums: reads and hashes the whole file."""
        return self.find(upload)

    def expect(self, uploads: Sequence[Upload]) -> None:
        """See the port. Nothing is asked beforehand here."""

    def begin(self, upload: Upload, resume: Session | None) -> Session:
        """See the port. Goes on from the last whole chunk of the hidden file, whatever `resume` says of it."""
        with self._parent(upload) as (directory, _):
            size = _open_part(directory, upload)
        if resume is None:
            size = 0
        elif size != upload.size:
            size -= size % self.chunk_size
        return Session(offset=size)

    def put(self, upload: Upload, session: Session, data: bytes) -> Session:
        """See the port."""
        with self._parent(upload) as (directory, _):
            part = _existing_part(directory, upload)
            try:
                if os.fstat(part).st_size < session.offset:
                    raise RetryLater("The unfinished file is shorter than it was; the upload goes on from its end.")
                _write_all(part, data, session.offset)
            finally:
                os.close(part)
        return Session(offset=session.offset + len(data))

    def finish(self, upload: Upload, session: Session) -> Arrived:  # noqa: ARG002
        """See the port. Raises ChecksumMismatch, and leaves nothing, when the disk doesn't give back what was sent."""
        with self._parent(upload) as (directory, name):
            hidden = _part_name(upload)
            if not _exists(directory, hidden):
                return self._finished_before(upload)
            _make_durable(directory, upload)
            try:
                arrived = _hashed(directory, hidden, upload.path)
                verify(upload, arrived)
                move_without_replacing(directory, hidden, name)
                arrived = msgspec.structs.replace(arrived, made=True)
            except ChecksumMismatch:
                unlink_if_there(directory, hidden)
                raise
            except FileNotFoundError:  # another worker, thought dead or taking us for dead, has named or dropped it
                raise RetryLater(_VANISHED) from None
            except FileExistsError:
                arrived = _hashed(directory, name, upload.path)
                unlink_if_there(directory, hidden)
                settled(upload, arrived)
            folder_tree.sync(directory)
            return arrived

    def remove(self, arrived: Arrived) -> None:
        """See the port. Leaves a file that was replaced or changed since."""
        folders, name = folder_tree.split(arrived.path)
        self._unlink(folders, name, only=arrived.remote_id)

    def abandon(self, upload: Upload, session: Session) -> None:  # noqa: ARG002
        """See the port."""
        folders, _ = folder_tree.split(upload.path)
        self._unlink(folders, _part_name(upload))

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def _permitted(self) -> Path:
        return folder_tree.permitted(self._root, self._allowed)

    def _reach(self) -> None:
        with classified(), folder_tree.opened(self._permitted()):
            pass

    @contextmanager
    def _parent(self, upload: Upload) -> Iterator[tuple[int, str]]:
        folders, name = folder_tree.split(upload.path)
        with (
            classified(),
            folder_tree.opened(self._permitted()) as root,
            folder_tree.below(root, folders, create=True) as directory,
        ):
            yield directory, name

    def _unlink(self, folders: Sequence[str], name: str, *, only: str | None = None) -> None:
        """Remove a file, or `only` the one with that remote id; what is missing, folder or file, is no error."""
        with classified(), folder_tree.opened(self._permitted()) as root:
            try:
                with folder_tree.below(root, folders) as directory:
                    if only in (None, _remote_id(os.stat(name, dir_fd=directory, follow_symlinks=False))):
                        os.unlink(name, dir_fd=directory)
                        folder_tree.sync(directory)
            except FileNotFoundError:
                return

    def _finished_before(self, upload: Upload) -> Arrived:
        arrived = self.find(upload)
        if arrived is None:
            raise RetryLater(_VANISHED)
        return settled(upload, arrived)


def _part_name(upload: Upload) -> str:
    digest = hashlib.sha256(f"{upload.token}\0{upload.path}".encode()).hexdigest()[:16]
    name = upload.path.rpartition("/")[2].encode()[:200].decode(errors="ignore")
    return f".{name}.{digest}.part"


def _open_part(directory: int, upload: Upload) -> int:
    """How large the hidden file is, made if need be."""
    name = _part_name(upload)
    part = os.open(name, _WRITE | os.O_CREAT, 0o666, dir_fd=directory)
    found = os.fstat(part)
    os.close(part)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_size <= upload.size:
        return found.st_size
    # A second name means that a crash came between naming the file and dropping this name: it is the delivered one.
    unlink_if_there(directory, name)
    os.close(os.open(name, _WRITE | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=directory))
    return 0


def _existing_part(directory: int, upload: Upload) -> int:
    try:
        return os.open(_part_name(upload), _WRITE, dir_fd=directory)
    except FileNotFoundError:
        raise RetryLater(_VANISHED) from None


def _write_all(file: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, offset)
        rest, offset = rest[written:], offset + written


def _make_durable(directory: int, upload: Upload) -> None:
    part = _existing_part(directory, upload)
    try:
        size = os.fstat(part).st_size
        if size < upload.size:
            raise RetryLater(f"Only {size} of {upload.size} bytes have been written.")
        os.fsync(part)
        # So that what is hashed next comes from the disk, not from memory.
        os.posix_fadvise(part, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(part)


def _exists(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _hashed(directory: int, name: str, path: str) -> Arrived:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    block = memoryview(bytearray(_BLOCK))
    descriptor = os.open(name, _READ, dir_fd=directory)
    with open(descriptor, "rb", buffering=0) as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise GiveUp("Something that is not a file has the name that the file should get.")
        while count := file.readinto(block):
            sha256.update(block[:count])
            md5.update(block[:count])
    return Arrived(
        path=path,
        remote_id=_remote_id(found),
        size=found.st_size,
        hashes={"sha256": sha256.hexdigest(), "md5": md5.hexdigest()},
    )


def _remote_id(found: os.stat_result) -> str:
    return f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
