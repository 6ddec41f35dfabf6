"""A plain SQL dump of the original's database as a way in: its rows are copied into temporary tables of our own.

The statements of the dump aren't run: they want PostGIS and the original's roles. Of each table that is taken over the
data that pg_dump wrote (`COPY … FROM stdin`) is read, whatever its columns' order.
"""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import psycopg
from psycopg import sql

from adapters.ocs_archive.database import Connection, DatabaseArchive
from adapters.ocs_archive.tables import COLUMNS, FRAME, HEADERS, LINK, THUMBNAIL, VERSION
from domain.errors import InvalidInput

PIECE = 1 << 20
_COPY = re.compile(rb"COPY (?:\"?(?P<schema>\w+)\"?\.)?\"?(?P<table>\w+)\"? \((?P<columns>[^)]*)\) FROM stdin;\s*")

_INDEXES = {
    FRAME: ("(id)",),
    VERSION: ("(frame_id)", "(id)"),
    HEADERS: ("(frame_id)",),
    LINK: ("(from_frame_id)", "(to_frame_id, from_frame_id)"),
    THUMBNAIL: ("(frame_id)",),
}


@contextmanager
def loaded(file: Path, conninfo: str) -> Iterator[DatabaseArchive]:
    """The archive in a dump (`-`: standard input; `.gz` is unpacked). Its rows, tokens among them, are in temporary
    tables of one session of the database of `conninfo`: they go with it, even when it is killed. Raises InvalidInput
    when it isn't such a dump."""
    with psycopg.connect(conninfo, autocommit=True, options="-c timezone=UTC -c jit=off") as connection:
        with _binary(file) as source:
            _load(source, connection)
        row = connection.execute("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()").fetchone()
        assert row is not None
        yield DatabaseArchive(connection, f"dump {file.name}", str(row[0]))


@contextmanager
def _binary(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as source:
            yield source  # type: ignore[misc]
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{file} can't be read: {getattr(error, 'strerror', None) or error}.") from error


def _load(source: BinaryIO, connection: Connection) -> None:
    first = source.read(5)
    if first == b"PGDMP":
        raise InvalidInput(
            "This dump isn't plain SQL; `pg_restore -f - FILE` makes it that. Give it on standard input: --dump -"
        )
    line = first + source.readline()
    found = set()
    while line:
        copy = _COPY.fullmatch(line)
        table = copy["table"].decode() if copy else ""
        if copy and table in COLUMNS and table not in found:
            found.add(table)
            _load_table(source, connection, table, copy["columns"].decode())
        elif copy:
            for row in iter(source.readline, b""):
                if row == b"\\.\n":
                    break
        line = source.readline()
    if FRAME not in found:
        raise InvalidInput(f"This is no dump of an OCS archive: it has no rows of {FRAME}.")


def _load_table(source: BinaryIO, connection: Connection, table: str, columns: str) -> None:
    names = [name.strip().strip('"') for name in columns.split(",")]
    here = sql.Identifier("pg_temp", table)
    typed = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(_type(table, name))) for name in names]
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(here, sql.SQL(", ").join(typed)))
    try:
        with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(here)) as copy:
            for piece in _rows(source):
                copy.write(piece)
    except psycopg.DataError as error:
        raise InvalidInput(f"The rows of {table} can't be read: {error.diag.message_primary or error}.") from error
    for columns_ in _INDEXES.get(table, ()):
        connection.execute(sql.SQL("CREATE INDEX ON {} ").format(here) + sql.SQL(columns_))
    connection.execute(sql.SQL("ANALYZE {}").format(here))


def _rows(source: BinaryIO) -> Iterator[bytes]:
    """The lines up to the end mark, some at a time."""
    gathered: list[bytes] = []
    size = 0
    for line in iter(source.readline, b""):
        if line == b"\\.\n":
            yield b"".join(gathered)
            return
        gathered.append(line)
        size += len(line)
        if size > PIECE:
            yield b"".join(gathered)
            gathered, size = [], 0
    raise InvalidInput("The dump ends in the middle of a table.")


def _type(table: str, column: str) -> str:
    """As we read it; whatever else there is stays text."""
    return COLUMNS[table].get(column, "text")
