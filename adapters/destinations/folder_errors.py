"""What a file system's faults mean for a delivery."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from domain.errors import DestinationPaused, GiveUp, RetryLater, StarferryError

_FULL = {
    errno.ENOSPC: "The destination folder's disk is full.",
    errno.EDQUOT: "The quota of the destination folder is used up.",
}
_PERMANENT = {
    errno.EACCES: "This server may not write to the destination folder; ask the operator for permission.",
    errno.EPERM: "This server may not write to the destination folder; ask the operator for permission.",
    errno.EROFS: "The destination folder is on a read-only file system.",
    errno.ENOENT: "The destination folder does not exist.",
    errno.ELOOP: "A part of the path is a symbolic link; a destination must not lead out of its folder.",
    errno.ENOTDIR: "A part of the path is a file or a symbolic link, not a folder.",
    errno.EISDIR: "A folder has the name that the file should get.",
    errno.ENAMETOOLONG: "A name in the path is too long for the destination's file system.",
    errno.EINVAL: "The destination's file system refuses a name in the path.",
    errno.ENOTSUP: "The destination's file system can't name a file without the risk of replacing another one.",
    errno.EFBIG: "The file is too large for the destination's file system.",
}


def classify(exc: OSError) -> StarferryError:
    """The error to raise for `exc`. Whatever isn't known to be permanent is tried again (EIO, ESTALE, timeouts)."""
    code = exc.errno if exc.errno is not None else 0
    if code in _FULL:
        return DestinationPaused(_FULL[code])
    if code in _PERMANENT:
        return GiveUp(_PERMANENT[code])
    name = errno.errorcode.get(code, "unknown")
    return RetryLater(f"The destination folder could not be used just now (system error {name}).")


@contextmanager
def classified() -> Iterator[None]:
    """Turns every OSError of the block into the error that it means."""
    try:
        yield
    except OSError as exc:
        raise classify(exc) from None
