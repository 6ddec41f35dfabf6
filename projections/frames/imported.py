"""What of another archive's ids is in the frames read model, for its import and the check afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from application.ports.imported_ids import KnownVersion
from domain.errors import RetryLater


class ReadModelIds:
    """Implements ImportedIds. Safe to share between threads."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def frames(self, ids: Sequence[int]) -> Mapping[int, str]:
        """See ImportedIds."""
        return dict(self._rows("SELECT id, basename FROM read_frames.frame WHERE id = ANY(%(ids)s)", ids))

    def versions(self, ids: Sequence[int]) -> Mapping[int, KnownVersion]:
        """See ImportedIds."""
        rows = self._rows(
            "SELECT id, frame_id, key, md5, extension FROM read_frames.version WHERE id = ANY(%(ids)s)", ids
        )
        return {id_: KnownVersion(*values) for id_, *values in rows}

    def thumbnails(self, ids: Sequence[int]) -> Mapping[int, str]:
        """See ImportedIds."""
        return dict(self._rows("SELECT id, basename FROM read_frames.thumbnail WHERE id = ANY(%(ids)s)", ids))

    def links(self, ids: Sequence[int]) -> frozenset[tuple[int, str]]:
        """See ImportedIds."""
        rows = self._rows(
            "SELECT l.frame_id, f.basename FROM read_frames.link l JOIN read_frames.frame f ON f.id = l.other_id "
            "WHERE l.frame_id = ANY(%(ids)s) "
            "UNION ALL SELECT frame_id, basename FROM read_frames.waiting WHERE frame_id = ANY(%(ids)s)",
            ids,
        )
        return frozenset((id_, name) for id_, name in rows)

    def _rows(self, statement: str, ids: Sequence[int]) -> list[Any]:
        if not ids:
            return []
        try:
            with self._pool.connection() as connection:
                return connection.execute(statement.encode(), {"ids": list(ids)}).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise RetryLater("The database can't be reached at the moment.") from error
