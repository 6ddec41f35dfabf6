"""Frames from events, a batch at a time: arrays into the statements, whatever the batch's size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from application.ports.sky import Sky
from domain.event import Recorded
from domain.footprint import Footprint
from domain.frame_record import FrameRecord, folded, submitter_of
from domain.frames import (
    FileDeletedFromServer,
    FileProcessed,
    FrameAmended,
    FrameDeleted,
    FrameVersion,
    RelatedFramesChanged,
)
from domain.thumbnails import ThumbnailAdded, ThumbnailRemoved
from projections.frames.grams import basename_grams, target_grams
from projections.frames.months import month_key
from projections.frames.past import keep_frames, keep_thumbnail, remove
from projections.frames.tables import INDEXES, TABLES
from projections.projection import Cursor

_COLUMNS = (
    "id observation_id request_id observation_date public_date created exposure_time headers_at since observation_day "
    "reduction_level basename proposal_id instrument_id target_name site_id telescope_id primary_optical_element "
    "configuration_type observation target_folded submitter version_set area"
).split()
_TYPES = (
    "int int int timestamptz timestamptz timestamptz float8 bigint bigint date smallint "
    "text text text text text text text text text text text text text"
).split()
_KEPT = ("id", "basename", "created", "version_set", "headers_at", "submitter", "observation")
_CHANGING = [name for name in _COLUMNS if name not in _KEPT]

# arrays of arrays must be rectangular, so cells and grams travel as texts of their own ('{1,2}')
_UPSERT = f"""
INSERT INTO frame AS f ({", ".join(_COLUMNS)}, cells, grams)
SELECT {", ".join(f"u.{name}" for name in _COLUMNS)}, u.cells::int[], u.grams::smallint[]
  FROM unnest({", ".join(f"%b::{kind}[]" for kind in _TYPES)}, %b::text[], %b::text[])
       AS u({", ".join(_COLUMNS)}, cells, grams)
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _CHANGING)},
    cells = excluded.cells, grams = excluded.grams,
    observation = coalesce(excluded.observation, f.observation),
    submitter = CASE WHEN excluded.headers_at > 0 THEN excluded.submitter ELSE f.submitter END,
    headers_at = CASE WHEN excluded.headers_at > 0 THEN excluded.headers_at ELSE f.headers_at END,
    version_set = concat_ws(',', nullif(excluded.version_set, ''), nullif(f.version_set, ''))
"""

_VERSIONS = """
INSERT INTO version (id, frame_id, size, since, created, key, md5, extension, path, sha256, deleted)
SELECT u.*, false FROM unnest(%b::int[], %b::int[], %b::bigint[], %b::bigint[], %b::timestamptz[], %b::text[],
                              %b::text[], %b::text[], %b::text[], %b::bytea[]) AS u
ON CONFLICT (id) DO NOTHING
"""

# a link that is named again holds since it was named first, whatever the order in which that is told
_LINK = """
INSERT INTO link AS l (frame_id, other_id, since)
SELECT a, b, min(since)
  FROM (SELECT id, other, since FROM named WHERE other IS NOT NULL
        UNION ALL SELECT other, id, since FROM named WHERE other IS NOT NULL) pairs (a, b, since)
 GROUP BY a, b
ON CONFLICT (frame_id, other_id) DO UPDATE SET since = excluded.since WHERE l.since > excluded.since
"""

_LINK_KNOWN = f"""
WITH named AS (SELECT u.*, f.id AS other FROM unnest(%b::int[], %b::text[], %b::bigint[]) AS u(id, name, since)
               LEFT JOIN frame f ON f.basename = u.name),
     linked AS ({_LINK})
INSERT INTO waiting (basename, frame_id, since) SELECT name, id, min(since) FROM named WHERE other IS NULL GROUP BY 1, 2
ON CONFLICT DO NOTHING
"""

_LINK_WAITING = f"""
WITH named AS (DELETE FROM waiting w USING unnest(%b::int[], %b::text[]) AS u(id, name)
                WHERE w.basename = u.name RETURNING u.id, w.frame_id AS other, w.since)
{_LINK}
"""


class FramesProjection:
    """See the package."""

    name = "frames"
    version = 1
    tables = TABLES
    indexes = INDEXES
    topics = frozenset(
        event.topic
        for event in (
            FileProcessed,
            FrameAmended,
            FileDeletedFromServer,
            FrameDeleted,
            RelatedFramesChanged,
            ThumbnailAdded,
            ThumbnailRemoved,
        )
    )

    def __init__(self, sky: Sky) -> None:
        self._sky = sky
        self._json = msgspec.json.Encoder()

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """See Projection.apply."""
        for round_ in _rounds(events):
            arrived = [recorded for recorded in round_ if isinstance(recorded.event, FileProcessed | FrameAmended)]
            if arrived:
                self._upsert(cursor, arrived)
            for recorded in round_:
                match recorded.event:
                    case FileDeletedFromServer() as event:
                        cursor.execute("UPDATE version SET deleted = true WHERE id = %s", (event.version_id,))
                    case FrameDeleted() as event:
                        _delete(cursor, event.frame_id, recorded.position)
                    case RelatedFramesChanged() as event:
                        _change_links(cursor, event, recorded.position)
                    case ThumbnailAdded() as event:
                        _put_thumbnail(cursor, event, recorded.position)
                    case ThumbnailRemoved() as event:
                        remove(cursor, "thumbnail", "id = %s", (event.thumbnail.id,), recorded.position)
                    case _:
                        pass

    def _upsert(self, cursor: Cursor, arrived: Sequence[Recorded]) -> None:
        outlines = [_record(recorded).area for recorded in arrived]
        cells = iter(self._sky.cells_many([outline for outline in outlines if outline is not None]))
        rows = [
            self._row(recorded, None if outline is None else next(cells))
            for recorded, outline in zip(arrived, outlines, strict=True)
        ]
        known = [recorded for recorded in arrived if recorded.version > 1]  # of a stream's first event there's no frame
        keep_frames(cursor, [_frame_id(recorded) for recorded in known], [recorded.position for recorded in known])
        cursor.execute(_UPSERT, [list(column) for column in zip(*rows, strict=True)], prepare=True)
        versions = [
            (
                v.id,
                row[0],
                v.size,
                recorded.position,
                v.created or recorded.at,
                v.key,
                v.md5,
                v.extension,
                v.path,
                bytes.fromhex(v.hashes.sha256) if v.hashes else None,
            )
            for recorded, row in zip(arrived, rows, strict=True)
            for v in _versions(recorded)
        ]
        if versions:
            cursor.execute(_VERSIONS, [list(column) for column in zip(*versions, strict=True)], prepare=True)
        named = [
            (row[0], name, recorded.position)
            for recorded, row in zip(arrived, rows, strict=True)
            for name in dict.fromkeys(_record(recorded).related)
            if name != _record(recorded).basename
        ]
        if named:
            cursor.execute(_LINK_KNOWN, [list(column) for column in zip(*named, strict=True)], prepare=True)
        ids, names = [row[0] for row in rows], [_record(recorded).basename for recorded in arrived]
        cursor.execute(_LINK_WAITING, (ids, names), prepare=True)

    def _row(self, recorded: Recorded, cells: list[int] | None) -> tuple[Any, ...]:
        event = recorded.event
        assert isinstance(event, FileProcessed | FrameAmended)
        record = event.record
        has_headers = isinstance(event, FileProcessed) or event.has_headers
        grams = sorted({*basename_grams(record.basename), *target_grams(record.target_name)})
        month = month_key(record.observation_date, recorded.at)
        if month is not None:
            grams.append(month)
        return (
            event.frame_id,
            record.observation_id,
            record.request_id,
            record.observation_date,
            record.public_date,
            recorded.at,
            record.exposure_time,
            recorded.position if has_headers else 0,
            recorded.position,
            record.observation_day,
            record.reduction_level,
            record.basename,
            record.proposal_id,
            record.instrument_id,
            record.target_name,
            record.site_id,
            record.telescope_id,
            record.primary_optical_element,
            record.configuration_type,
            event.observation if isinstance(event, FileProcessed) else None,
            folded(record.target_name),
            submitter_of(event.headers) if has_headers else "",
            ",".join(self._version_json(version, recorded) for version in reversed(_versions(recorded))),
            None if record.area is None else self._area_json(record.area),
            None if cells is None else f"{{{','.join(map(str, cells))}}}",
            f"{{{','.join(map(str, grams))}}}",
        )

    def _version_json(self, version: FrameVersion, recorded: Recorded) -> str:
        stored = {
            "id": version.id,
            "key": version.key,
            "md5": version.md5,
            "extension": version.extension,
            "created": version.created or recorded.at,
        }
        return self._json.encode(stored).decode()

    def _area_json(self, area: Footprint) -> str:
        return self._json.encode(self._sky.normalise(area)).decode()


def _rounds(events: Iterable[Recorded]) -> list[list[Recorded]]:
    """The events in order, cut so that no round has two of one frame: a statement can't touch a row twice. What takes
    links away has a round of its own: whether it comes before or after a frame that names the other matters."""
    rounds: list[list[Recorded]] = [[]]
    seen: set[str] = set()
    alone = False
    for recorded in events:
        unlinks = isinstance(recorded.event, FrameDeleted | RelatedFramesChanged)
        if recorded.stream in seen or alone or (unlinks and rounds[-1]):
            rounds.append([])
            seen.clear()
        alone = unlinks
        seen.add(recorded.stream)
        rounds[-1].append(recorded)
    return rounds


def _record(recorded: Recorded) -> FrameRecord:
    assert isinstance(recorded.event, FileProcessed | FrameAmended)
    return recorded.event.record


def _frame_id(recorded: Recorded) -> int:
    assert isinstance(recorded.event, FileProcessed | FrameAmended)
    return recorded.event.frame_id


def _versions(recorded: Recorded) -> tuple[FrameVersion, ...]:
    return recorded.event.versions if isinstance(recorded.event, FileProcessed) else ()


def _delete(cursor: Cursor, frame_id: int, position: int) -> None:
    remove(cursor, "link", "frame_id = %s OR other_id = %s", (frame_id, frame_id), position)
    cursor.execute("DELETE FROM waiting WHERE frame_id = %s", (frame_id,))
    for table, column in (("version", "frame_id"), ("thumbnail", "frame_id"), ("frame", "id")):
        remove(cursor, table, f"{column} = %s", (frame_id,), position)


def _change_links(cursor: Cursor, event: RelatedFramesChanged, position: int) -> None:
    frame, removed = event.frame_id, list(event.removed)
    named = "SELECT id FROM frame WHERE basename = ANY(%s)"
    remove(
        cursor,
        "link",
        f"(frame_id = %s AND other_id IN ({named})) OR (other_id = %s AND frame_id IN ({named}))",
        (frame, removed, frame, removed),
        position,
    )
    cursor.execute("DELETE FROM waiting WHERE frame_id = %s AND basename = ANY(%s)", (frame, removed))
    if event.added:
        times = len(event.added)
        cursor.execute(_LINK_KNOWN, ([frame] * times, list(event.added), [position] * times), prepare=True)


def _put_thumbnail(cursor: Cursor, event: ThumbnailAdded, position: int) -> None:
    picture = event.thumbnail
    keep_thumbnail(cursor, picture.id, position)
    cursor.execute(
        "INSERT INTO thumbnail (id, frame_id, since, basename, extension, size, key, path) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (id) DO UPDATE SET frame_id = excluded.frame_id, since = excluded.since, "
        "basename = excluded.basename, extension = excluded.extension, size = excluded.size, key = excluded.key, "
        "path = excluded.path",
        (
            picture.id,
            event.frame_id,
            position,
            picture.basename,
            picture.extension,
            picture.size,
            picture.key,
            picture.path,
        ),
    )
