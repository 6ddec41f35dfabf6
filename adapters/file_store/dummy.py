"""The file store that keeps nothing, for trying out the archive's records (contracts: OCS archive library)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from adapters.file_store.incoming import Incoming
from adapters.file_store.paths import checked
from application.ports.clock import Clock
from application.ports.file_store import Staged, Staging, Stored
from domain.errors import NotFound


class DummyStore:
    """Takes every file and forgets it: the key is the md5, the size 0, and there are no links.

    Implements application.ports.file_store.FileStore. Uploads pass through `spool`, a local folder.
    """

    def __init__(self, spool: Path, *, clock: Clock) -> None:
        self._incoming = Incoming(spool, clock)

    def staging(self) -> AbstractContextManager[Staging]:
        """A place to receive bytes."""
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
        """Say where the bytes would be. Raises InvalidInput for a path that no store takes."""
        return Stored(path=checked(path), key=staged.hashes.md5)

    def open(self, path: str, key: str) -> BinaryIO:  # noqa: ARG002
        """Raises NotFound: there is nothing."""
        raise NotFound("This archive runs without a file store (FILESTORE_TYPE=dummy), so it has no files to give.")

    def size(self, path: str, key: str) -> int:  # noqa: ARG002
        """Always 0."""
        return 0

    def delete(self, path: str, key: str) -> None:
        """Nothing to do."""

    def url(self, path: str, key: str, *, filename: str, expires: int = 172_800) -> str:  # noqa: ARG002
        """Empty."""
        return ""
