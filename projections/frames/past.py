"""What the rows of the frames read model held before, and the rows that are gone: so that a search can be asked as of
any position (docs/adr/0037).

Each table has a twin `past_…`, where a row goes when an event changes or removes it, with that event's position as
`until`. The function `…_as_of(position)` is both together, cut there: `since` the position or before, `until` later.
It has one column more than the table, `until`.

PostgreSQL puts the function's statement in its place. The condition stands outside of the union, where the planner
passes it on to both tables and still takes a wanted order from their indexes; inside, it would read and sort all of
them for each page. The body is kept parsed (BEGIN ATOMIC), so that it follows its tables when their schema is renamed.

A link holds since the event that named it, which may be before the other frame came: whoever asks for links joins the
frames, as of the same position. A version's `deleted` is told as it is today: no answer about frames shows it.
"""

from __future__ import annotations

from collections.abc import Sequence

from projections.projection import Cursor

_TWINS = ("frame", "version", "thumbnail", "link")
_FOR_EVER = 2**63 - 1


def _twin(table: str) -> str:
    return f"""
CREATE TABLE past_{table} (LIKE {table}, until bigint NOT NULL);
CREATE FUNCTION {table}_as_of(at bigint) RETURNS SETOF past_{table} LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC
    SELECT * FROM (SELECT *, {_FOR_EVER} AS until FROM {table} UNION ALL SELECT * FROM past_{table}) ever
     WHERE since <= at AND until > at;
END;"""


PAST_TABLES = "".join(_twin(table) for table in _TWINS)

PAST_INDEXES = """
CREATE INDEX frame_since ON frame USING brin (since);
CREATE INDEX past_frame_id ON past_frame (id);
CREATE INDEX past_frame_basename ON past_frame (basename);
CREATE INDEX past_frame_newest ON past_frame (observation_date DESC, id DESC);
CREATE INDEX past_frame_target ON past_frame (target_name, observation_date DESC, id DESC);
CREATE INDEX past_frame_observation ON past_frame (observation_id) WHERE observation_id IS NOT NULL;
CREATE INDEX past_frame_request ON past_frame (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX past_frame_cells ON past_frame USING gin (cells);
CREATE INDEX past_frame_grams ON past_frame USING gin (grams);
CREATE INDEX past_version_id ON past_version (id);
CREATE INDEX past_version_md5 ON past_version (md5);
CREATE INDEX past_version_frame ON past_version (frame_id);
CREATE INDEX past_thumbnail_id ON past_thumbnail (id);
CREATE INDEX past_thumbnail_frame ON past_thumbnail (frame_id);
CREATE INDEX past_link_frame ON past_link (frame_id);
"""
"""What chooses frames by little else than a site, an instrument or a proposal walks through the newest of the past
ones: that saves three indexes of what is seldom asked."""

_KEEP = """
INSERT INTO past_{table} SELECT t.*, u.position FROM unnest(%b::int[], %b::bigint[]) AS u(id, position)
                         JOIN {table} t ON t.id = u.id
"""
_REMOVE = """
WITH gone AS (DELETE FROM {table} t USING unnest(%b::int[], %b::bigint[]) AS u(id, position) WHERE t.{column} = u.id
              RETURNING t.*, u.position)
INSERT INTO past_{table} SELECT * FROM gone
"""
# of a link between two of them, the first that goes ends it
_REMOVE_LINKS = """
WITH u AS (SELECT * FROM unnest(%b::int[], %b::bigint[]) AS u(id, position)),
     one_way AS (DELETE FROM link l USING u WHERE l.frame_id = u.id
                 RETURNING l.*, least(u.position, (SELECT o.position FROM u o WHERE o.id = l.other_id)) AS until),
     other_way AS (DELETE FROM link l USING one_way o WHERE l.frame_id = o.other_id AND l.other_id = o.frame_id
                   RETURNING l.*, o.until)
INSERT INTO past_link SELECT * FROM one_way UNION ALL SELECT * FROM other_way
"""
_UNRELATE = """
WITH named AS (SELECT id FROM frame WHERE basename = ANY(%b::text[])),
     gone AS (DELETE FROM link l USING named n WHERE (l.frame_id = %b AND l.other_id = n.id)
                                                  OR (l.frame_id = n.id AND l.other_id = %b) RETURNING l.*)
INSERT INTO past_link SELECT *, %b FROM gone
"""


def keep(cursor: Cursor, table: str, ids: Sequence[int], positions: Sequence[int]) -> None:
    """These rows, if they are there, are about to be changed by the events at these positions."""
    if ids:
        cursor.execute(_KEEP.format(table=table).encode(), (list(ids), list(positions)), prepare=True)


def remove(cursor: Cursor, table: str, column: str, ids: Sequence[int], positions: Sequence[int]) -> None:
    """Delete the rows that have these ids in a column, by the events at these positions."""
    if ids:
        statement = _REMOVE.format(table=table, column=column)
        cursor.execute(statement.encode(), (list(ids), list(positions)), prepare=True)


def remove_links(cursor: Cursor, frames: Sequence[int], positions: Sequence[int]) -> None:
    """Delete all links of these frames, both ways."""
    if frames:
        cursor.execute(_REMOVE_LINKS, (list(frames), list(positions)), prepare=True)


def unrelate(cursor: Cursor, frame_id: int, names: Sequence[str], position: int) -> None:
    """Delete the links between a frame and those of these names."""
    cursor.execute(_UNRELATE, (list(names), frame_id, frame_id, position))
