"""File system steps that are finished on the disk, not only in memory, when they return."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Bring a file's bytes, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Folders:
    """Makes and removes folders below `root`, durably, whatever other threads and processes do there.

    Only folders below the root are given to it. It remembers which of them are known to be on the disk, so that a
    night's many files cost one sync each.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._on_disk: set[Path] = set()

    def make(self, folder: Path) -> None:
        """Make `folder` and those above it. Raises NotADirectoryError where a file is in the way."""
        if folder == self._root or (folder in self._on_disk and folder.is_dir()):
            return
        self.make(folder.parent)
        try:
            folder.mkdir()
        except FileExistsError:
            if not folder.is_dir():
                raise NotADirectoryError(f"{folder.name} is a file") from None
        sync(folder.parent)
        self._on_disk.add(folder)

    def prune(self, folder: Path) -> None:
        """Remove `folder` and those above it, below the root, as far as they are empty."""
        if folder == self._root:
            return
        self._on_disk.discard(folder)
        try:
            folder.rmdir()
            sync(folder.parent)
        except FileNotFoundError:
            pass  # another deletion was here; it may have stopped before the next one up
        except OSError:
            return  # not empty
        self.prune(folder.parent)
