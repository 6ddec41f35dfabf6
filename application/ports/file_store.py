"""Where the bytes of frames are kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from domain.hashes import Hashes


class Staged(msgspec.Struct, frozen=True):
    """Bytes that have arrived in full on local disk but don't belong to a frame yet.

    `file` is readable until the staging is closed; `size` is in bytes.
    """

    file: Path
    size: int
    hashes: Hashes


class Stored(msgspec.Struct, frozen=True):
    """Bytes that the store keeps. `path` and `key` together name them for ever, whatever happens to the record."""

    path: str
    key: str


class Staging(Protocol):
    """An upload in progress: hashed as it is written, never whole in memory."""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        ...

    def finish(self) -> Staged:
        """All bytes are in; they are on disk when this returns."""
        ...


class FileStore(Protocol):
    """Keeps bytes under a path and a version key. Safe to share between threads."""

    def staging(self) -> AbstractContextManager[Staging]:
        """A place to receive bytes. What wasn't kept is removed when the context ends."""
        ...

    def keep(
        self, staged: Staged, path: str, *, filename: str, content_type: str = "", observed: datetime | None = None
    ) -> Stored:
        """Make staged bytes permanent and durable under `path`, or beside it when other bytes are there already.

        `observed` (aware) is when the observation was made: a store with a cheaper class for old data chooses by it.
        Keeping the same bytes at the same path again gives the same answer. Raises InvalidInput for a path that
        can't be kept, RetryLater when the store is full or can't be reached, Misconfigured.
        """
        ...

    def open(self, path: str, key: str) -> BinaryIO:
        """A seekable reader of exactly this version. Raises NotFound when the bytes are gone, RetryLater."""
        ...

    def size(self, path: str, key: str) -> int:
        """Bytes of this version. Raises NotFound, RetryLater."""
        ...

    def delete(self, path: str, key: str) -> None:
        """Remove exactly this version; removing what isn't there is no error."""
        ...

    def url(self, path: str, key: str, *, filename: str, expires: int = 172_800) -> str:
        """A link of the store's own that serves exactly this version for `expires` seconds; empty when it has none and
        the API must serve the bytes."""
        ...


Progress = Callable[[int], None]
