"""Walk below a root without ever leaving it: every step is opened by its parent and no symbolic link is followed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from domain.errors import GiveUp

_STEP = os.O_DIRECTORY | os.O_NOFOLLOW | getattr(os, "O_PATH", os.O_RDONLY)
"""O_PATH needs no more than the right to pass through, which is all that a parent of the root may grant."""


def split(path: str) -> tuple[list[str], str]:
    """The folders and the name of a destination path such as `/M31/image.fits`. Raises GiveUp for one that can't be."""
    names = path.removeprefix("/").split("/")
    if any(name in ("", ".", "..") or "\0" in name for name in names):
        raise GiveUp("The destination path has an empty or reserved part.")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise GiveUp("The destination path holds characters that can't be written as UTF-8.") from None
    return names[:-1], names[-1]


def permitted(root: Path, allowed: Sequence[Path]) -> Path:
    """`root` with its symbolic links resolved. Raises GiveUp when it isn't at or below one of `allowed`."""
    if not allowed:
        raise GiveUp("Folder destinations are switched off; the operator enables them with STARFERRY_FOLDER_ROOTS.")
    try:
        real = root.resolve()
        roots = [one.resolve() for one in allowed]
    except RuntimeError:
        raise GiveUp("The folder's path is a loop of symbolic links.") from None
    if not root.is_absolute() or not any(real.is_relative_to(one) for one in roots):
        raise GiveUp("The folder is outside the roots that the operator has allowed (STARFERRY_FOLDER_ROOTS).")
    return real


@contextmanager
def opened(real: Path) -> Iterator[int]:
    """A descriptor of the directory `real`, an absolute path without symbolic links. Raises OSError."""
    top = os.open(real.anchor, _STEP)
    try:
        with below(top, real.parts[1:]) as directory:
            yield directory
    finally:
        os.close(top)


@contextmanager
def below(directory: int, names: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """A descriptor of the directory reached from `directory` by `names`; `create` makes what is missing.

    Raises OSError: ENOTDIR where a step is a symbolic link or a file, ENOENT where it is missing.
    """
    current = os.dup(directory)
    try:
        for name in names:
            following = _step(current, name, create=create)
            os.close(current)
            current = following
        yield current
    finally:
        os.close(current)


def _step(directory: int, name: str, *, create: bool) -> int:
    try:
        return os.open(name, _STEP, dir_fd=directory)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=directory)
        sync(directory)
    return os.open(name, _STEP, dir_fd=directory)


def sync(directory: int) -> None:
    """Make the names in `directory` survive a power cut, where its file system can do that. Raises OSError."""
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
    try:
        os.fsync(readable)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(readable)
