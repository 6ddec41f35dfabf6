"""The original's PostgreSQL as a way in: read in the order of ids, in one snapshot of the database, never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg
from psycopg.rows import tuple_row

from adapters.ocs_archive.headers import compact
from adapters.ocs_archive.outlines import footprint
from adapters.ocs_archive.tables import (
    COLUMNS,
    FRAME,
    HEADERS,
    LINK,
    NEEDED,
    PROFILES,
    THUMBNAIL,
    TOKEN,
    USER,
    VERSION,
)
from application.ports.original_archive import (
    OriginalAccount,
    OriginalFrame,
    OriginalPage,
    OriginalThumbnail,
    OriginalVersion,
    Refused,
    Totals,
)
from domain.errors import InvalidInput, RetryLater
from domain.frame_record import FrameRecord

PAGE = 500
"""Frames read, and stored, at a time."""

Connection = psycopg.Connection[tuple[Any, ...]]

_RECORD = [name for name in COLUMNS[FRAME] if name not in ("id", "area")]

# the original keeps each link in both directions; the row that it wrote first says which frame named the other
_LINKS = (
    f"SELECT r.from_frame_id, f.basename FROM {LINK} r JOIN {FRAME} f ON f.id = r.to_frame_id "
    "WHERE r.from_frame_id = ANY(%s) AND r.to_frame_id <> r.from_frame_id AND NOT EXISTS (SELECT 1 FROM "
    f"{LINK} m WHERE m.from_frame_id = r.to_frame_id AND m.to_frame_id = r.from_frame_id AND m.id < r.id) ORDER BY r.id"
)


class DatabaseArchive:
    """Implements OriginalArchive, for the tables in `schema`, which must be on the connection's search path."""

    def __init__(self, connection: Connection, name: str, schema: str) -> None:
        self.name = name
        self._connection = connection
        self._tables = _tables(connection, schema)
        if missing := [table for table in NEEDED if table not in self._tables]:
            raise InvalidInput(f"This isn't a database of the OCS archive: it has no table {', '.join(missing)}.")
        if not {"basename", "observation_date"} <= self._tables[FRAME]:
            raise InvalidInput("This archive is older than 2.0: its frames have no observation_date. Upgrade it first.")

    def totals(self) -> Totals:
        """See OriginalArchive.totals."""
        frames, versions, thumbnails, accounts = (self._count(name) for name in (FRAME, VERSION, THUMBNAIL, USER))
        return Totals(frames, versions, thumbnails, accounts)

    def largest_id(self) -> int:
        """See OriginalArchive.largest_id."""
        tables = [name for name in (FRAME, VERSION, THUMBNAIL) if name in self._tables]
        largest: list[int] = [self._rows(f"SELECT coalesce(max(id), 0) FROM {name}")[0][0] for name in tables]
        return max(largest)

    def pages(self) -> Iterator[OriginalPage]:
        """See OriginalArchive.pages."""
        after = -1
        while rows := self._rows(
            f"SELECT id, {self._selected(FRAME, 'area', *_RECORD)} FROM {FRAME} WHERE id > %s ORDER BY id LIMIT {PAGE}",
            after,
        ):
            after = rows[-1][0]
            yield self._page(rows)

    def headers(self, frame_ids: Sequence[int]) -> Mapping[int, msgspec.Raw]:
        """See OriginalArchive.headers."""
        rows = self._rows(
            f"SELECT frame_id, data::text FROM {HEADERS} WHERE frame_id = ANY(%s) AND data IS NOT NULL", list(frame_ids)
        )
        return {id_: compact(text) for id_, text in rows}

    def accounts(self) -> Sequence[OriginalAccount]:
        """See OriginalArchive.accounts."""
        if USER not in self._tables:
            return []
        tokens: dict[int, list[str]] = {}
        for table, column in ((TOKEN, "key"), *((profile, "api_token") for profile in PROFILES)):
            if column in self._tables.get(table, ()):
                for user, token in self._rows(f"SELECT user_id, {column} FROM {table} WHERE {column} <> ''"):
                    tokens.setdefault(user, []).append(token)
        rows = self._rows(
            f"SELECT id, username, password, is_superuser, is_staff, is_active FROM {USER} "
            "WHERE username <> '' ORDER BY id"
        )
        return [
            OriginalAccount(
                username=username,
                is_superuser=superuser,
                is_staff=staff,
                active=active,
                tokens=tuple(dict.fromkeys(tokens.get(id_, ()))),
                password_hash="" if password.startswith("!") else password,  # Django's mark for "no password"
            )
            for id_, username, password, superuser, staff, active in rows
        ]

    def _page(self, rows: Sequence[tuple[Any, ...]]) -> OriginalPage:
        ids = [row[0] for row in rows]
        versions = self._grouped(VERSION, "id, key, md5, extension, created", "created, id", OriginalVersion, ids)
        thumbnails = self._grouped(THUMBNAIL, "id, basename, extension, size, key", "id", OriginalThumbnail, ids)
        related: dict[int, list[str]] = {}
        for id_, name in self._rows(_LINKS, ids):
            related.setdefault(id_, []).append(name)
        frames, refused = [], []
        for id_, area, *values in rows:
            fields = {name: value for name, value in zip(_RECORD, values, strict=True) if value is not None}
            try:
                record = FrameRecord(**fields, area=footprint(area), related=tuple(related.get(id_, ())))
            except InvalidInput as error:
                refused.append(Refused(f"frame {id_} ({fields.get('basename')})", str(error)))
                continue
            pictures = tuple(thumbnails.get(id_, ()))
            frames.append(
                OriginalFrame(id=id_, record=record, versions=tuple(versions.get(id_, ())), thumbnails=pictures)
            )
        return OriginalPage(frames, refused)

    def _grouped(self, table: str, columns: str, order: str, kind: Any, ids: Sequence[int]) -> dict[int, list[Any]]:
        grouped: dict[int, list[Any]] = {}
        if table in self._tables:
            for frame_id, *values in self._rows(
                f"SELECT frame_id, {columns} FROM {table} WHERE frame_id = ANY(%s) ORDER BY {order}", list(ids)
            ):
                grouped.setdefault(frame_id, []).append(kind(*values))
        return grouped

    def _selected(self, table: str, *names: str) -> str:
        """The columns, read as the types that we want; null for those that this release doesn't have."""
        there = self._tables[table]
        return ", ".join(
            f"{name}::{COLUMNS[table][name]}" if name in there else f"NULL::{COLUMNS[table][name]}" for name in names
        )

    def _count(self, table: str) -> int:
        return self._rows(f"SELECT count(*) FROM {table}")[0][0] if table in self._tables else 0

    def _rows(self, statement: str, *parameters: Any) -> list[Any]:
        try:
            return self._connection.execute(statement.encode(), parameters).fetchall()
        except psycopg.OperationalError as error:
            raise RetryLater("The original's database can't be reached any more; run the import again.") from error


def _tables(connection: Connection, schema: str) -> dict[str, frozenset[str]]:
    """The columns of each table that we know of."""
    rows = connection.execute(
        "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = ANY(%s) GROUP BY 1",
        (schema, list(COLUMNS)),
    )
    return {name: frozenset(columns) for name, columns in rows.fetchall()}


@contextmanager
def opened(conninfo: str) -> Iterator[DatabaseArchive]:
    """The original's database, in one read-only snapshot. Raises InvalidInput when it can't be opened or isn't one."""
    try:
        described = psycopg.conninfo.conninfo_to_dict(conninfo)
        connection = psycopg.connect(conninfo, row_factory=tuple_row, options="-c timezone=UTC -c jit=off")
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0] if isinstance(error, psycopg.OperationalError) else "bad syntax"
        raise InvalidInput(f"The original's database can't be opened: {reason}.") from None
    with connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute("SET search_path TO public")
        place = described.get("host") or "this machine"
        yield DatabaseArchive(connection, f"database {described.get('dbname', '')} at {place}", "public")
        connection.rollback()
