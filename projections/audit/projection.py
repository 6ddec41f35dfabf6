"""Fills the audit read model. Numbers are given in the order of the log, so that a rebuild gives the same ones."""

from __future__ import annotations

from collections.abc import Sequence

from domain.catalogue import EVENTS
from domain.event import Recorded
from projections.audit.tables import INDEXES, TABLES, correlation_key, storable
from projections.projection import Cursor

Author = tuple[str, str]
"""Who, and through which way in."""


class AuditProjection:
    """See the module."""

    name = "audit"
    version = 1
    tables = TABLES
    indexes = INDEXES
    topics = frozenset(EVENTS)

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """See Projection.apply."""
        authors = _authors(cursor, [_author(recorded) for recorded in events])
        kinds = _kinds(cursor, [recorded.event.topic for recorded in events])
        with cursor.copy("COPY event FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "timestamptz", "int8", "int4", "int2"])
            for recorded in events:
                copy.write_row(
                    (
                        recorded.position,
                        recorded.at,
                        correlation_key(recorded.cause.correlation),
                        authors[_author(recorded)],
                        kinds[recorded.event.topic],
                    )
                )


def _author(recorded: Recorded) -> Author:
    return storable(recorded.cause.actor), storable(recorded.cause.via)


def _authors(cursor: Cursor, wanted: Sequence[Author]) -> dict[Author, int]:
    actors = sorted({actor for actor, _ in wanted})
    cursor.execute(
        "SELECT actor, via, id FROM author WHERE md5(actor) = ANY(SELECT md5(w) FROM unnest(%s::text[]) w)", (actors,)
    )
    known = {(actor, via): number for actor, via, number in cursor}
    new = [author for author in dict.fromkeys(wanted) if author not in known]
    for number, author in enumerate(new, start=_next(cursor, "author") if new else 0):
        cursor.execute("INSERT INTO author VALUES (%s, %s, %s)", (number, *author))
        known[author] = number
    return known


def _kinds(cursor: Cursor, wanted: Sequence[str]) -> dict[str, int]:
    cursor.execute("SELECT topic, id FROM kind")
    known: dict[str, int] = dict(cursor.fetchall())
    new = [topic for topic in dict.fromkeys(wanted) if topic not in known]
    for number, topic in enumerate(new, start=_next(cursor, "kind") if new else 0):
        cursor.execute("INSERT INTO kind VALUES (%s, %s)", (number, topic))
        known[topic] = number
    return known


def _next(cursor: Cursor, table: str) -> int:
    row = cursor.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])
