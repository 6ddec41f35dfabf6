"""Finds the positions of events by kind, author, time and correlation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from application.ports.audit import EventFilter
from domain.errors import RetryLater
from projections.audit.tables import correlation_key, storable
from projections.lookups import wait_for

Connection = psycopg.Connection[Any]

_REACHED = b"SELECT position FROM starferry.projection WHERE name = 'audit'"
_KINDS = b"SELECT id FROM read_audit.kind WHERE topic = ANY(%s)"
_AUTHORS = (
    b"SELECT id FROM read_audit.author WHERE (%(actor)s = '' OR (md5(actor) = md5(%(actor)s) AND actor = %(actor)s)) "
    b"AND %(via)s IN ('', via)"
)
_NEXT = b"SELECT position, at FROM read_audit.event WHERE position > %s AND position <= %s ORDER BY position LIMIT 1"


class AuditIndex:
    """Implements EventIndex. Safe to share between threads."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    def reached(self, at_least: int = 0) -> int:
        """See EventIndex."""
        with self._connection() as connection:
            wait_for(connection, "audit", at_least)
            row = connection.execute(_REACHED).fetchone()
        return int(row[0]) if row else 0

    def positions(
        self, wanted: EventFilter, *, after: int, upto: int, limit: int, newest_first: bool = False
    ) -> Sequence[int]:
        """See EventIndex."""
        with self._connection() as connection:
            found = _conditions(connection, wanted)
            if found is None:
                return []
            conditions, parameters = found
            order = "DESC" if newest_first else "ASC"
            statement = (
                "SELECT position FROM read_audit.event WHERE position > %s AND position <= %s"
                f"{''.join(f' AND {condition}' for condition in conditions)} ORDER BY position {order} LIMIT %s"
            )
            rows = connection.execute(statement.encode(), (after, upto, *parameters, limit)).fetchall()
        return [row[0] for row in rows]

    def before(self, moment: datetime, upto: int) -> int:
        """See EventIndex: halves the stretch until one position is left, a row a step."""
        least, most = 0, upto
        with self._connection() as connection:
            while least < most:
                middle = (least + most) // 2
                row = connection.execute(_NEXT, (middle, most), prepare=True).fetchone()
                if row is None or row[1] >= moment:
                    most = middle
                else:
                    least = row[0]
        return least

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise RetryLater("The database can't be reached at the moment.") from error


def _conditions(connection: Connection, wanted: EventFilter) -> tuple[list[str], list[Any]] | None:
    """What a row must fulfil, with parameters; None when none can."""
    conditions: list[str] = []
    parameters: list[Any] = []
    if wanted.kinds:
        kinds = [row[0] for row in connection.execute(_KINDS, (sorted(wanted.topics()),))]
        conditions.append("kind = ANY(%s::smallint[])")
        parameters.append(kinds)
    if wanted.actor or wanted.via:
        asked = {"actor": storable(wanted.actor), "via": wanted.via}
        authors = [row[0] for row in connection.execute(_AUTHORS, asked)]
        conditions.append("author = ANY(%s::int[])")
        parameters.append(authors)
    if wanted.correlation:
        conditions.append("correlation = %s")
        parameters.append(correlation_key(wanted.correlation))
    if wanted.since is not None:
        conditions.append("at >= %s")
        parameters.append(wanted.since)
    if wanted.until is not None:
        conditions.append("at <= %s")
        parameters.append(wanted.until)
    return None if [] in parameters else (conditions, parameters)
