"""Give a finished file its name without ever replacing another file that has it."""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress

_RENAME_NOREPLACE = 1
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def move_without_replacing(directory: int, old: str, new: str) -> None:
    """Rename `old` to `new`, both in the open `directory`, atomically.

    link(2) does it on every file system with hard links, NFS among them. SMB shares and FAT have none, but know
    renameat2(2) with RENAME_NOREPLACE.

    Raises FileExistsError when `new` is taken, OSError otherwise. A crash between link and unlink leaves both names
    for the same file.
    """
    try:
        os.link(old, new, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except OSError as exc:
        if exc.errno not in _NO_HARD_LINKS:
            raise
        _rename_noreplace(directory, old, new)
    else:
        unlink_if_there(directory, old)


def unlink_if_there(directory: int, name: str) -> None:
    """Remove a file that another worker may have removed meanwhile. Raises OSError for any other reason."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)


def _rename_noreplace(directory: int, old: str, new: str) -> None:
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    if renameat2(directory, os.fsencode(old), directory, os.fsencode(new), _RENAME_NOREPLACE) != 0:
        code = ctypes.get_errno()
        if code in (errno.EINVAL, errno.ENOSYS):
            code = errno.ENOTSUP
        raise OSError(code, os.strerror(code))
