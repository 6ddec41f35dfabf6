"""Facets from events: only the facets that a frame joins or leaves are written, whatever the archive's size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from domain.event import Recorded
from domain.frame_record import FrameRecord
from domain.frames import FileProcessed, FrameAmended, FrameDeleted
from projections.facets.tables import DIMENSIONS, INDEXES, TABLES
from projections.projection import Cursor

Key = tuple[date, *tuple[str, ...]]
"""Day and texts, in the order of DIMENSIONS."""


class Place(NamedTuple):
    """Where a frame is counted, and with which times."""

    facet: int | None = None
    observed: datetime | None = None
    public: datetime | None = None


class Move(NamedTuple):
    """An event as it concerns the facets. `record` is None when the frame went away."""

    position: int
    frame_id: int
    record: FrameRecord | None

    @property
    def key(self) -> Key | None:
        """The facet that the frame belongs to; None without an observation date."""
        if self.record is None or self.record.observation_date is None:
            return None
        day = self.record.observation_date.astimezone(UTC).date()
        return (day, *(getattr(self.record, name) for name in DIMENSIONS))


_KEY_COLUMNS = ", ".join(("day", *DIMENSIONS))
_KEY_ARRAYS = ", ".join(("%b::date[]", *("%b::int[]" for _ in DIMENSIONS)))

_MEMBERS = "SELECT frame_id, facet, observation_date, public_date FROM member WHERE frame_id = ANY(%b)"
_TERMS = "SELECT text, id FROM term WHERE text = ANY(%b)"
_NEW_TERMS = "INSERT INTO term SELECT * FROM unnest(%b::int[], %b::text[])"
_FACETS = (
    f"SELECT u.n, f.id FROM unnest(%b::int[], {_KEY_ARRAYS}) AS u(n, {_KEY_COLUMNS}) "
    f"JOIN facet f USING ({_KEY_COLUMNS})"
)
_GONE = "DELETE FROM member WHERE frame_id = ANY(%b)"
_PLACED = """
INSERT INTO member SELECT * FROM unnest(%b::int[], %b::int[], %b::timestamptz[], %b::timestamptz[])
ON CONFLICT (frame_id) DO UPDATE SET facet = excluded.facet, observation_date = excluded.observation_date,
    public_date = excluded.public_date
"""
_BOUNDS = """
    count(m.frame_id), coalesce(min(m.observation_date), 'infinity'), coalesce(max(m.observation_date), '-infinity'),
    coalesce(min(m.public_date), 'infinity'),
    coalesce(max(CASE WHEN m.frame_id IS NOT NULL THEN coalesce(m.public_date, 'infinity') END), '-infinity')
"""
_JOINED = f"""
INSERT INTO facet AS f (id, changed, {_KEY_COLUMNS}, frames, observed_from, observed_to, public_from, public_to)
SELECT u.*, {_BOUNDS}
  FROM unnest(%b::int[], %b::bigint[], {_KEY_ARRAYS}) AS u(id, changed, {_KEY_COLUMNS})
  LEFT JOIN unnest(%b::int[], %b::int[], %b::timestamptz[], %b::timestamptz[])
       AS m(frame_id, facet, observation_date, public_date) ON m.facet = u.id
 GROUP BY u.id, u.changed, {", ".join(f"u.{name}" for name in ("day", *DIMENSIONS))}
ON CONFLICT (id) DO UPDATE SET changed = excluded.changed, frames = f.frames + excluded.frames,
    observed_from = least(f.observed_from, excluded.observed_from),
    observed_to = greatest(f.observed_to, excluded.observed_to),
    public_from = least(f.public_from, excluded.public_from), public_to = greatest(f.public_to, excluded.public_to)
"""
_LEFT = f"""
UPDATE facet f SET changed = u.changed, (frames, observed_from, observed_to, public_from, public_to) =
    (SELECT {_BOUNDS} FROM member m WHERE m.facet = f.id)
  FROM unnest(%b::int[], %b::bigint[]) AS u(id, changed) WHERE f.id = u.id
"""


class FacetsProjection:
    """See the package. Frames count from their first version on, as in lists."""

    name = "facets"
    version = 1
    tables = TABLES
    indexes = INDEXES
    topics = frozenset(event.topic for event in (FileProcessed, FrameAmended, FrameDeleted))

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """See Projection.apply."""
        before = _members(cursor, events)
        moves = _moves(events, before)
        keys = {key: None for move in moves if (key := move.key)}
        numbered = _numbered(cursor, list(keys))
        facets = _facets(cursor, numbered)
        after, changed = _walk(moves, before, {key: facets[numbered[key]] for key in keys})
        _write(cursor, before, after, changed, {facet: key for key, facet in facets.items()})


def _members(cursor: Cursor, events: Sequence[Recorded]) -> dict[int, Place]:
    """Where the frames of the events are until now."""
    ids = list({recorded.event.frame_id for recorded in events})  # type: ignore[attr-defined]
    cursor.execute(_MEMBERS, (ids,), prepare=True)
    return {frame_id: Place(*rest) for frame_id, *rest in cursor.fetchall()}


def _moves(events: Iterable[Recorded], members: Iterable[int]) -> list[Move]:
    """What happens to frames that have a version."""
    present = set(members)
    moves = []
    for recorded in events:
        event = recorded.event
        match event:
            case FrameDeleted():
                if event.frame_id in present:
                    present.remove(event.frame_id)
                    moves.append(Move(recorded.position, event.frame_id, None))
            case FileProcessed() | FrameAmended():
                if isinstance(event, FileProcessed) and event.versions:
                    present.add(event.frame_id)
                if event.frame_id in present:
                    moves.append(Move(recorded.position, event.frame_id, event.record))
            case _:
                pass
    return moves


Numbered = tuple[date, *tuple[int, ...]]
"""A key with the numbers of its texts."""


def _numbered(cursor: Cursor, keys: list[Key]) -> dict[Key, Numbered]:
    """The keys with numbers for texts; texts without one get the next."""
    texts = list(dict.fromkeys(text for _, *texts in keys for text in texts))
    cursor.execute(_TERMS, (texts,), prepare=True)
    numbers: dict[str, int] = dict(cursor.fetchall())
    if unknown := [text for text in texts if text not in numbers]:
        fresh = _next_numbers(cursor, "term", len(unknown))
        cursor.execute(_NEW_TERMS, (fresh, unknown), prepare=True)
        numbers.update(zip(unknown, fresh, strict=True))
    return {(day, *texts): (day, *(numbers[text] for text in texts)) for day, *texts in keys}


def _facets(cursor: Cursor, numbered: dict[Key, Numbered]) -> dict[Numbered, int]:
    """The number of each key's facet; those that aren't there get the next."""
    wanted = list(numbered.values())
    if not wanted:
        return {}
    columns = [list(column) for column in zip(*wanted, strict=True)]
    cursor.execute(_FACETS, [list(range(len(wanted))), *columns], prepare=True)
    found: dict[Numbered, int] = {wanted[n]: facet for n, facet in cursor.fetchall()}
    unknown = [key for key in wanted if key not in found]
    found.update(zip(unknown, _next_numbers(cursor, "facet", len(unknown)), strict=True))
    return found


def _next_numbers(cursor: Cursor, table: str, count: int) -> list[int]:
    cursor.execute(f"SELECT coalesce(max(id), 0) FROM {table}".encode(), prepare=True)
    ((last,),) = cursor.fetchall()
    return list(range(last + 1, last + 1 + count))


def _walk(
    moves: Iterable[Move], before: dict[int, Place], facets: dict[Key, int]
) -> tuple[dict[int, Place], dict[int, int]]:
    """Where the frames are afterwards, and the position of the last change of each facet that saw one."""
    after = dict(before)
    changed: dict[int, int] = {}
    for move in moves:
        old = after.pop(move.frame_id, None)
        new = None
        if move.record is not None:
            key = move.key
            new = Place(facets[key], move.record.observation_date, move.record.public_date) if key else Place()
            after[move.frame_id] = new
        if new != old:
            changed.update((place.facet, move.position) for place in (old, new) if place and place.facet is not None)
    return after, changed


def _write(
    cursor: Cursor,
    before: dict[int, Place],
    after: dict[int, Place],
    changed: dict[int, int],
    keys: dict[int, Numbered],
) -> None:
    gone = [frame_id for frame_id in before if frame_id not in after]
    placed = [(frame_id, *place) for frame_id, place in after.items() if before.get(frame_id) != place]
    left = {old.facet for frame_id, old in before.items() if after.get(frame_id) != old} - {None}
    if gone:
        cursor.execute(_GONE, (gone,), prepare=True)
    members = [list(column) for column in zip(*placed, strict=True)] if placed else [[], [], [], []]
    if placed:
        cursor.execute(_PLACED, members, prepare=True)
    joined = [facet for facet in changed if facet in keys]
    if joined:
        columns = [list(column) for column in zip(*(keys[facet] for facet in joined), strict=True)]
        cursor.execute(_JOINED, [joined, [changed[facet] for facet in joined], *columns, *members], prepare=True)
    if left:  # a bound may have gone with a frame, so these are counted anew
        numbers = sorted(facet for facet in left if facet is not None)
        cursor.execute(_LEFT, (numbers, [changed[facet] for facet in numbers]), prepare=True)
