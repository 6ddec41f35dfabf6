"""What a fault of the local disk means for the caller."""

from __future__ import annotations

import errno

from domain.errors import InvalidInput, Misconfigured, NotFound, RetryLater, StarferryError


def classify(error: OSError) -> StarferryError:
    """The one place where an OSError of a file store's disk becomes an error of ours."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return RetryLater("The disk of the file store is full; free some space and try again.")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return Misconfigured("The file store's directory can't be written; check its owner, mode and mount.")
        case errno.EXDEV:
            return Misconfigured("The file store's directory must lie on one file system; a folder in it is another.")
        case errno.ENOENT | errno.ENOTDIR | errno.EISDIR:
            return NotFound("The file is no longer in the file store.")
        case errno.ENAMETOOLONG | errno.EILSEQ | errno.EINVAL:
            return InvalidInput("The file store's disk can't hold a file of this name.", field="path")
        case _:
            return RetryLater("The disk of the file store didn't answer as it should; try again later.")
