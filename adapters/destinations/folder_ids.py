"""Which folder at a provider has which path, agreed on by all workers before the folder is made.

Providers that know folders by id let two creators both succeed with the same name. So the id is reserved first, here,
by whoever comes first; making the folder with that id can then be repeated by anybody.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

from psycopg_pool import ConnectionPool

from adapters.event_store.reaching import reaching


class FolderIds(Protocol):
    """The folders of all destinations. Safe to share between threads. Methods may raise RetryLater."""

    def known(self, config_id: str, path: str) -> str | None:
        """The id agreed on, if any."""
        ...

    def agree(self, config_id: str, path: str, proposed: str) -> str:
        """The id in force: `proposed`, unless somebody was first."""
        ...

    def forget(self, config_id: str, path: str, folder: str) -> None:
        """This folder is gone at the provider: another may take its place."""
        ...


class PostgresFolderIds:
    """Implements FolderIds (table: adapters/postgres/migrations/0005_destination_folders.sql)."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    def known(self, config_id: str, path: str) -> str | None:
        """See FolderIds."""
        with reaching(), self._pool.connection() as connection:
            row = connection.execute(
                "SELECT folder FROM starferry.destination_folder WHERE storage_config = %s AND path = %s",
                (config_id, path),
            ).fetchone()
        return row[0] if row else None

    def agree(self, config_id: str, path: str, proposed: str) -> str:
        """See FolderIds."""
        with reaching(), self._pool.connection() as connection:
            row = connection.execute(
                "INSERT INTO starferry.destination_folder AS f VALUES (%s, %s, %s) "
                "ON CONFLICT (storage_config, path) DO UPDATE SET folder = f.folder RETURNING folder",
                (config_id, path, proposed),
            ).fetchone()
        assert row is not None
        return str(row[0])

    def forget(self, config_id: str, path: str, folder: str) -> None:
        """See FolderIds."""
        with reaching(), self._pool.connection() as connection:
            connection.execute(
                "DELETE FROM starferry.destination_folder WHERE storage_config = %s AND path = %s AND folder = %s",
                (config_id, path, folder),
            )


class MemoryFolderIds:
    """Implements FolderIds for one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[tuple[str, str], str] = {}

    def known(self, config_id: str, path: str) -> str | None:
        """See FolderIds."""
        with self._lock:
            return self._folders.get((config_id, path))

    def agree(self, config_id: str, path: str, proposed: str) -> str:
        """See FolderIds."""
        with self._lock:
            return self._folders.setdefault((config_id, path), proposed)

    def forget(self, config_id: str, path: str, folder: str) -> None:
        """See FolderIds."""
        with self._lock:
            if self._folders.get((config_id, path)) == folder:
                del self._folders[config_id, path]
