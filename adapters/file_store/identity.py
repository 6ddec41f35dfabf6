"""Which bytes a file holds: its md5, remembered so that asking again needs no reading.

A directory store names a version by path and md5. A path can be used again after its file was deleted, so a late
reader or deleter of the earlier version must be able to see, cheaply, that these are other bytes. The md5 is kept in
an extended attribute of the file together with size and modification time, which show when it is out of date; where
the file system has no extended attributes, in the memory of this process.
"""

from __future__ import annotations

import contextlib
import hashlib
import os

_ATTRIBUTE = "user.starferry.md5"
_PIECE = 1024 * 1024
_REMEMBERED_AT_MOST = 65_536
_remembered: dict[tuple[int, int, int, int], str] = {}


def remember(descriptor: int, md5: str) -> None:
    """Note that the open file holds bytes with this md5 (lower-case hex)."""
    size, modified = _state(descriptor)[2:]
    with contextlib.suppress(OSError, AttributeError):
        os.setxattr(descriptor, _ATTRIBUTE, f"{md5} {size} {modified}".encode())
        return
    if len(_remembered) >= _REMEMBERED_AT_MOST:
        _remembered.clear()
    _remembered[_state(descriptor)] = md5


def md5_of(descriptor: int) -> str:
    """The md5 of the open file (lower-case hex): as remembered, or by reading it; its position doesn't move."""
    state = _state(descriptor)
    with contextlib.suppress(OSError, AttributeError, ValueError):
        md5, size, modified = os.getxattr(descriptor, _ATTRIBUTE).decode().split()
        if (int(size), int(modified)) == state[2:]:
            return md5
    known = _remembered.get(state)
    if known is None:
        known = _read(descriptor)
        if _state(descriptor) == state:
            remember(descriptor, known)
    return known


def _state(descriptor: int) -> tuple[int, int, int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read(descriptor: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    offset = 0
    while piece := os.pread(descriptor, _PIECE, offset):
        digest.update(piece)
        offset += len(piece)
    return digest.hexdigest()
