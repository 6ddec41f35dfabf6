"""Which values occur among the frames as of a position, asked of the frames themselves: the facets only know today."""

from __future__ import annotations

from datetime import datetime

from application.permissions import Principal
from projections.facets.query import FacetSearch, Values
from projections.facets.tables import DIMENSIONS
from projections.frames.as_of import PastPool
from projections.frames.fetching import fetch
from projections.frames.search import Where, visible_to


class PastValues:
    """Answers as FacetQueries does."""

    def __init__(self, pool: PastPool) -> None:
        self._pool = pool

    async def everything(self, viewer: Principal, now: datetime) -> Values:
        """The values of all frames that the viewer may see."""
        return await self._values(_seen(viewer, now))

    async def within(self, search: FacetSearch, viewer: Principal, now: datetime) -> Values:
        """The values of the range's public frames, if wanted, and of those not yet public that are the viewer's."""
        where = _seen(viewer, now)
        where.add("f.observation_date >= %s AND f.observation_date < %s", search.start, search.end)
        if not search.public:
            where.add("coalesce(f.public_date, 'infinity') > %s", now)
        for name, text in search.equal.items():
            if name not in DIMENSIONS:
                raise ValueError(name)
            where.add(f"f.{name} = %s", text)
        return await self._values(where)

    async def _values(self, where: Where) -> Values:
        columns = ", ".join(f"f.{name}" for name in DIMENSIONS)
        async with self._pool.connection() as connection:
            rows = await fetch(
                connection, f"SELECT DISTINCT {columns} FROM read_frames.frame f {where.sql()}", where.parameters
            )
        found = [set(column) - {""} for column in zip(*rows, strict=True)] or [set() for _ in DIMENSIONS]
        return tuple(sorted(values) for values in found)


def _seen(viewer: Principal, now: datetime) -> Where:
    where = Where([], [])
    visible_to(viewer, now, where)
    where.add("f.version_set <> ''")
    return where
