"""Which bytes a download is: versions with what the file store knows them by, and where their copies are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row, tuple_row
from psycopg_pool import AsyncConnectionPool

from application.permissions import Principal
from projections.frames.search import Where, visible_to


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a frame. `size` (bytes) and `sha256` are None when another program stored the file; `deleted`
    says that its bytes were removed from the server; `public` that everybody may have them."""

    frame_id: int
    basename: str
    reduction_level: int
    configuration_type: str
    public: bool
    version_id: int
    path: str
    key: str
    md5: str
    sha256: bytes | None
    extension: str
    size: int | None
    created: datetime
    deleted: bool

    @property
    def name(self) -> str:
        """The file's name."""
        return self.basename + self.extension


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A verified copy of a version: in whose storage, of what kind, where."""

    version_id: int
    provider: str
    display_name: str
    destination_path: str


_FILE = (
    "SELECT f.id AS frame_id, f.basename, f.reduction_level, f.configuration_type, "
    "coalesce(f.public_date < %s, false) AS public, v.id AS version_id, v.path, v.key, v.md5, v.sha256, v.extension, "
    "v.size, v.created, v.deleted FROM read_frames.frame f"
)
_NEWEST = r"""substring(f.version_set from '^\{"id":([0-9]+)')::int"""
"""The id of the newest version: the list begins with it."""
_COPIED = "number, version_id, frame, storage_config, provider, owner, destination_path"
_COPIES = (
    f"SELECT {_COPIED} FROM read_transfers.transfer WHERE status = 'completed' AND copy <> 'missing' "
    f"UNION ALL SELECT {_COPIED} FROM read_transfers.delivered_copy"
)


class FileQueries:
    """Answers from read_frames, and from read_transfers about copies. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool

    async def visible(self, frames: Sequence[int], viewer: Principal, now: datetime) -> int:
        """How many of these frames the viewer may see."""
        where = Where([], [])
        visible_to(viewer, now, where)
        where.add("f.id = ANY(%s)", list(frames))
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            await cursor.execute(f"SELECT count(*) FROM read_frames.frame f {where.sql()}".encode(), where.parameters)
            ((count,),) = await cursor.fetchall()
        return int(count)

    async def newest(self, frames: Sequence[int], viewer: Principal | None, now: datetime) -> list[StoredFile]:
        """The newest version of each of these frames that has one and that the viewer may see, newest observation
        first; of all of them when no viewer is given."""
        where = Where([], [])
        if viewer is not None:
            visible_to(viewer, now, where)
        where.add("f.id = ANY(%s)", list(frames))
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(StoredFile))
            await cursor.execute(
                f"{_FILE} JOIN read_frames.version v ON v.id = {_NEWEST} {where.sql()} "
                "ORDER BY f.observation_date DESC, f.id DESC".encode(),
                [now, *where.parameters],
            )
            return await cursor.fetchall()

    async def version(self, version_id: int, now: datetime, viewer: Principal | None = None) -> StoredFile | None:
        """One version, if the viewer may see its frame; of any frame when no viewer is given."""
        where = Where([], [])
        if viewer is not None:
            visible_to(viewer, now, where)
        where.add("v.id = %s", version_id)
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(StoredFile))
            await cursor.execute(
                f"{_FILE} JOIN read_frames.version v ON v.frame_id = f.id {where.sql()}".encode(),
                [now, *where.parameters],
            )
            return await cursor.fetchone()

    async def copies(self, files: Sequence[StoredFile], viewer: Principal) -> list[Copy]:
        """The verified copies of these versions in storage that is the viewer's to know of."""
        if not files or not viewer.authenticated:
            return []
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Copy))
            await cursor.execute(
                "SELECT t.version_id, t.provider, coalesce(c.settings ->> 'display_name', '') AS display_name, "
                f"t.destination_path FROM ({_COPIES}) t "
                "LEFT JOIN read_storage_configs.storage_config c ON c.id = t.storage_config "
                "WHERE t.frame = ANY(%s) AND t.version_id = ANY(%s) "
                "AND (%s OR t.owner = %s OR c.owner = %s) ORDER BY t.number",
                [
                    [file.basename for file in files],
                    [file.version_id for file in files],
                    viewer.is_superuser,
                    viewer.username,
                    viewer.username,
                ],
            )
            return await cursor.fetchall()
