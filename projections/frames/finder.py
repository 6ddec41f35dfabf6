"""A selection as SQL over the frames read model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from application.ports.frame_finder import Found
from domain.errors import RetryLater
from domain.frame_selection import FrameSelection
from projections.frames.search import Where


class ReadModelFinder:
    """Implements FrameFinder. Safe to share between threads."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def find(self, selection: FrameSelection, *, after: int, limit: int) -> Sequence[Found]:
        """See FrameFinder."""
        where = conditions(selection)
        where.add("id > %s", after)
        rows = self._rows(
            f"SELECT id, basename FROM read_frames.frame {where.sql()} ORDER BY id LIMIT {limit:d}", where.parameters
        )
        return [Found(*row) for row in rows]

    def count(self, selection: FrameSelection) -> int:
        """See FrameFinder."""
        where = conditions(selection)
        count: int = self._rows(f"SELECT count(*) FROM read_frames.frame {where.sql()}", where.parameters)[0][0]
        return count

    def unfinished_transfers(self, basenames: Sequence[str]) -> Sequence[str]:
        """See FrameFinder."""
        rows = self._rows(
            "SELECT id FROM read_transfers.transfer WHERE frame = ANY(%s) "
            "AND (status <> ALL(%s) OR copy IN ('missing', 'changed')) ORDER BY id",
            [list(basenames), ["completed", "cancelled"]],
        )
        return [row[0] for row in rows]

    def _rows(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        try:
            with self._pool.connection() as connection:
                return connection.execute(statement.encode(), parameters).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise RetryLater("The database can't be reached at the moment.") from error


def conditions(selection: FrameSelection) -> Where:
    """The same as FrameSelection.selects, in SQL."""
    where = Where([], [])
    if selection.observed_before is not None:
        where.add("observation_date < %s", selection.observed_before)
    if selection.after_night is not None:
        where.add("observation_day > %s", selection.after_night)
    if selection.before_night is not None:
        where.add("observation_day < %s", selection.before_night)
    for column in ("reduction_level", "observation_id", "request_id"):
        if (value := getattr(selection, column)) is not None:
            where.add(f"{column} = %s", value)
    for column, text in (("site_id", selection.site), ("telescope_id", selection.telescope)):
        if text:
            where.add(f"lower({column}) = lower(%s)", text)
    for column, wanted, unwanted in (
        ("configuration_type", selection.types, selection.not_types),
        ("proposal_id", selection.proposals, selection.not_proposals),
        ("instrument_id", selection.instruments, selection.not_instruments),
    ):
        if wanted:
            where.add(f"{column} = ANY(%s)", list(wanted))
        if unwanted:
            where.add(f"{column} <> ALL(%s)", list(unwanted))
    return where
