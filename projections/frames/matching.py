"""A saved query as SQL over the frames read model, and the frames that it finds, by id or newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import psycopg
from psycopg_pool import ConnectionPool

from application.permissions import Principal
from application.ports.frame_finder import Found
from application.ports.sky import Relation, Sky
from domain.errors import RetryLater
from domain.frame_query import EXACT, FrameQuery
from domain.storage_configs import Content
from projections.frames.search import FrameSearch, Where, conditions, visible_to
from projections.lookups import number_of

_ALIKE = (
    "never start end basename target target_folded target_exact empty_target exposure_time types_in types_not_in "
    "public submitter"
).split()


def search_of_query(query: FrameQuery, sky: Sky) -> FrameSearch:
    """The search that a saved query means. Raises InvalidGeometry."""
    equal = {column: value for name, column in EXACT.items() if (value := getattr(query, name)) is not None}
    return FrameSearch(
        equal=equal,
        covers=sky.parse(query.covers, "covers") if query.covers else None,
        intersects=sky.parse(query.intersects, "intersects") if query.intersects else None,
        **{name: getattr(query, name) for name in _ALIKE},
    )


def query_of_search(search: FrameSearch, *, covers: str = "", intersects: str = "") -> FrameQuery:
    """The query that a search means, to be saved; the regions as they were written."""
    exact = {name: search.equal[column] for name, column in EXACT.items() if column in search.equal}
    return FrameQuery(covers=covers, intersects=intersects, **exact, **{name: getattr(search, name) for name in _ALIKE})


class ReadModelMatches:
    """Implements MatchingFrames. Safe to share between threads."""

    def __init__(self, pool: ConnectionPool, sky: Sky) -> None:
        self._pool = pool
        self._sky = sky

    def of_query(
        self, query: FrameQuery, viewer: Principal, now: datetime, *, after: int, limit: int
    ) -> Sequence[Found]:
        """See MatchingFrames."""
        search = search_of_query(query, self._sky)
        where = conditions(search, viewer, now)
        for region, relation in ((search.covers, "covers"), (search.intersects, "intersects")):
            if region is None:
                continue
            keys = self._sky.query_keys(region, cast(Relation, relation))
            if keys is None:
                where.add("false")
            else:
                where.add("f.cells && %s::int[]", keys)
        return self._by_id(where, after, limit)

    def of_observation(self, observation: str, *, after: int, limit: int) -> Sequence[Found]:
        """See MatchingFrames."""
        where = Where([], [])
        where.add("(f.observation_id = %s OR f.observation = %s)", number_of(observation), observation)
        return self._by_id(where, after, limit)

    def newest(self, viewer: Principal, now: datetime, kinds: Sequence[Content], limit: int) -> Sequence[Found]:
        """See MatchingFrames."""
        where = Where([], [])
        visible_to(viewer, now, where)
        where.add("f.version_set <> ''")
        if len(set(kinds)) == 1:
            where.add("f.reduction_level = 0" if "raw" in kinds else "f.reduction_level > 0")
        return self._rows(where, f"ORDER BY f.observation_date DESC, f.id DESC LIMIT {limit:d}")

    def _by_id(self, where: Where, after: int, limit: int) -> Sequence[Found]:
        where.add("f.id > %s", after)
        return self._rows(where, f"ORDER BY f.id LIMIT {limit:d}")

    def _rows(self, where: Where, ordered: str) -> Sequence[Found]:
        statement = f"SELECT f.id, f.basename FROM read_frames.frame f {where.sql()} {ordered}"
        parameters: list[Any] = where.parameters
        try:
            with self._pool.connection() as connection:
                rows = connection.execute(statement.encode(), parameters).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise RetryLater("The database can't be reached at the moment.") from error
        return [Found(*row) for row in rows]
