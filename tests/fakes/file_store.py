"""A file store and a vault in dictionaries."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO

from application.ports.file_store import Staged, Staging, Stored
from domain.errors import NotFound


class HeldFiles:
    """Implements the part of FileStore that reads and removes."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}

    def open(self, path: str, key: str) -> BinaryIO:
        """See FileStore.open."""
        try:
            return io.BytesIO(self.files[path, key])
        except KeyError:
            raise NotFound(f"There is no file {path}.") from None

    def size(self, path: str, key: str) -> int:
        """See FileStore.size."""
        return len(self.files[path, key])

    def delete(self, path: str, key: str) -> None:
        """See FileStore.delete."""
        self.files.pop((path, key), None)

    def staging(self) -> AbstractContextManager[Staging]:
        """Not offered."""
        raise NotImplementedError

    def keep(
        self, staged: Staged, path: str, *, filename: str, content_type: str = "", observed: datetime | None = None
    ) -> Stored:
        """Not offered."""
        raise NotImplementedError

    def url(self, path: str, key: str, *, filename: str, expires: int = 172_800) -> str:
        """Not offered."""
        raise NotImplementedError


class OpenVault:
    """Implements Vault without any encryption."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, str]] = {}

    def put(self, owner: str, secrets: Mapping[str, str]) -> int:
        """See Vault.put."""
        self.secrets.setdefault(owner, {}).update(secrets)
        return 1

    def put_each(self, secrets: Mapping[str, Mapping[str, str]]) -> None:
        """See Vault.put_each."""
        for owner, theirs in secrets.items():
            self.put(owner, theirs)

    def get(self, owner: str) -> dict[str, str]:
        """See Vault.get."""
        return dict(self.secrets.get(owner, {}))

    def take(self, owner: str) -> dict[str, str]:
        """See Vault.take."""
        return self.secrets.pop(owner, {})

    def names(self, owner: str) -> frozenset[str]:
        """See Vault.names."""
        return frozenset(self.secrets.get(owner, ()))

    def shred(self, owner: str) -> None:
        """See Vault.shred."""
        self.secrets.pop(owner, None)

    def shred_each(self, owners: Collection[str]) -> None:
        """See Vault.shred_each."""
        for owner in owners:
            self.shred(owner)

    def owners(self, prefix: str) -> Sequence[str]:
        """See Vault.owners."""
        return [owner for owner in self.secrets if owner.startswith(prefix)]
