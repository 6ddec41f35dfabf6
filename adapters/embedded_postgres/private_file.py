"""Files that only their owner may read, and that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Give the file this content in one step, on disk when this returns. What a link points to isn't touched."""
    new = path.with_name(f"{path.name}.new")
    with open(create(new), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync(path.parent)


def create(path: Path) -> int:
    """A descriptor to write to a new file, which takes the place of an old one whoever made that."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def sync(folder: Path) -> None:
    """Make renames and new names in the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
