"""What arrives with frames: made of the events alone, and put into the tables in one of two ways.

`merge` takes any frames, those of live batches; `add` takes frames that the tables have never had, which a rebuild is
full of: they are copied in, without a look at what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from application.ports.sky import Sky
from domain.event import Recorded
from domain.footprint import Footprint
from domain.frame_record import FrameRecord, folded, submitter_of
from domain.frames import FileProcessed, FrameAmended, FrameVersion
from projections.frames.grams import frame_grams
from projections.frames.int_arrays import INT2, INT4, take_packed
from projections.frames.months import month_key
from projections.frames.past import keep
from projections.projection import Cursor

_COLUMNS = (
    "id observation_id request_id observation_date public_date created exposure_time headers_at since observation_day "
    "reduction_level basename proposal_id instrument_id target_name site_id telescope_id primary_optical_element "
    "configuration_type observation target_folded submitter version_set area"
).split()
_TYPES = (
    "int4 int4 int4 timestamptz timestamptz timestamptz float8 int8 int8 date int2 "
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
_COPY = f"COPY frame ({', '.join(_COLUMNS)}, cells, grams) FROM STDIN (FORMAT BINARY)"

_VERSION_COLUMNS = "id frame_id size since created key md5 extension path sha256 deleted".split()
_VERSION_TYPES = "int4 int4 int8 int8 timestamptz text text text text bytea bool".split()
_VERSIONS = f"""
INSERT INTO version ({", ".join(_VERSION_COLUMNS)})
SELECT * FROM unnest({", ".join(f"%b::{kind}[]" for kind in _VERSION_TYPES)})
ON CONFLICT (id) DO NOTHING
"""
_COPY_VERSIONS = f"COPY version ({', '.join(_VERSION_COLUMNS)}) FROM STDIN (FORMAT BINARY)"

_KNOWN = "SELECT basename, id FROM frame WHERE basename = ANY(%b::text[])"
# a link that is named again holds since it was named first, whatever the order in which that is told
_FIRST = "ON CONFLICT (frame_id, other_id) DO UPDATE SET since = excluded.since WHERE l.since > excluded.since"
_LINKS = f"INSERT INTO link AS l SELECT * FROM unnest(%b::int[], %b::int[], %b::bigint[]) {_FIRST}"
_COPY_LINKS = "COPY link (frame_id, other_id, since) FROM STDIN (FORMAT BINARY)"
_WAITING = "INSERT INTO waiting SELECT * FROM unnest(%b::text[], %b::int[], %b::bigint[]) ON CONFLICT DO NOTHING"
_ARRIVED = f"""
WITH arrived AS (DELETE FROM waiting w USING unnest(%b::int[], %b::text[]) AS u(id, name)
                  WHERE w.basename = u.name RETURNING u.id, w.frame_id, w.since)
INSERT INTO link AS l SELECT a, b, min(since)
  FROM (SELECT id, frame_id, since FROM arrived UNION ALL SELECT frame_id, id, since FROM arrived) pairs (a, b, since)
 GROUP BY a, b {_FIRST}
"""


_Frame = tuple[
    int, int | None, int | None, datetime | None, datetime | None, datetime, float | None, int, int, date | None,
    int, str, str, str, str, str, str, str, str, str | None, str, str, str, str | None, bytes | None, bytes,
]  # fmt: skip
_Version = tuple[int, int, int | None, int, datetime, str, str, str, str, bytes | None, bool]


class Arrivals(msgspec.Struct, frozen=True):
    """Rows of different frames, in the order of their columns; `cells` and `grams`, packed, are the last two of
    `frames`. `named` holds which frame names which, and since when; `names` the frames' own. `known` are those that may
    be there already, with the positions of the events that change them."""

    frames: list[_Frame]
    versions: list[_Version]
    named: list[tuple[int, str, int]]
    names: list[tuple[int, str]]
    known: list[tuple[int, int]]

    def __reduce__(self) -> tuple[Callable[[bytes], Arrivals], tuple[bytes]]:
        """On their way between the processes of a rebuild as MessagePack, for a third of what pickling values costs."""
        return _unpacked, (msgspec.msgpack.encode(self),)


def _unpacked(packed: bytes) -> Arrivals:
    return _arrivals.decode(packed)


_arrivals = msgspec.msgpack.Decoder(Arrivals)


class Arriving:
    """Makes rows of events. Safe to share between threads."""

    def __init__(self, sky: Sky) -> None:
        self._sky = sky
        self._json = msgspec.json.Encoder()

    def rows(self, arrived: Sequence[Recorded]) -> Arrivals:
        """What these events, FileProcessed or FrameAmended of different frames, bring."""
        if not arrived:
            return Arrivals([], [], [], [], [])
        records = [_record(recorded) for recorded in arrived]
        outlines = [record.area for record in records]
        found = iter(INT4.elements_of(self._sky.cells_many([outline for outline in outlines if outline is not None])))
        cells = [None if outline is None else INT4.packed(next(found)) for outline in outlines]
        grams = INT2.elements(*frame_grams([(record.basename, record.target_name) for record in records]))
        frames = [self._frame(*each) for each in zip(arrived, cells, grams, strict=True)]
        names = [(row[0], record.basename) for row, record in zip(frames, records, strict=True)]
        return Arrivals(
            frames,
            [
                _version(v, own[0], recorded)
                for recorded, own in zip(arrived, names, strict=True)
                for v in _of(recorded)
            ],
            [
                (own[0], name, recorded.position)
                for recorded, own, record in zip(arrived, names, records, strict=True)
                for name in dict.fromkeys(record.related)
                if name != record.basename
            ],
            names,
            # of a stream's first event there's no frame
            [(own[0], recorded.position) for recorded, own in zip(arrived, names, strict=True) if recorded.version > 1],
        )

    def _frame(self, recorded: Recorded, cells: bytes | None, grams: bytes) -> _Frame:
        event = recorded.event
        assert isinstance(event, FileProcessed | FrameAmended)
        record = event.record
        has_headers = isinstance(event, FileProcessed) or event.has_headers
        month = month_key(record.observation_date, recorded.at)
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
            ",".join([self._version_json(version, recorded) for version in reversed(_of(recorded))]),
            None if record.area is None else self._area_json(record.area),
            cells,
            INT2.packed(grams if month is None else grams + INT2.element(month)),
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


def merge(cursor: Cursor, arrivals: Arrivals) -> None:
    """Bring these into the tables, whether the frames are there or not."""
    if arrivals.known:
        keep(cursor, "frame", *_columns(arrivals.known))
    columns = _columns(arrivals.frames)
    columns[-2:] = list(map(INT4.text, columns[-2])), list(map(INT2.text, columns[-1]))
    cursor.execute(_UPSERT, columns, prepare=True)
    if arrivals.versions:
        cursor.execute(_VERSIONS, _columns(arrivals.versions), prepare=True)
    link(cursor, arrivals.named)
    cursor.execute(_ARRIVED, _columns(arrivals.names), prepare=True)


def add(cursor: Cursor, arrivals: Arrivals) -> None:
    """The same for frames that the tables have never had. Raises psycopg's UniqueViolation for one that they have."""
    _copy(cursor, _COPY, [*_TYPES, "int4[]", "int2[]"], arrivals.frames)
    _copy(cursor, _COPY_VERSIONS, _VERSION_TYPES, arrivals.versions)
    _copy(cursor, _COPY_LINKS, ["int4", "int4", "int8"], _linked(cursor, arrivals.named))
    cursor.execute(_ARRIVED, _columns(arrivals.names), prepare=True)


def link(cursor: Cursor, named: Sequence[tuple[int, str, int]]) -> None:
    """Frames, by id, name others: they are linked both ways, or wait for those that aren't there."""
    if pairs := _linked(cursor, named):
        cursor.execute(_LINKS, _columns(pairs), prepare=True)


def _linked(cursor: Cursor, named: Sequence[tuple[int, str, int]]) -> list[tuple[int, int, int]]:
    """The links that follow from this, without asking which are there; what isn't known is put among the waiting."""
    if not named:
        return []
    cursor.execute(_KNOWN, (list({name for _, name, _ in named}),), prepare=True)
    known: dict[str, int] = dict(cursor.fetchall())
    waiting: dict[tuple[str, int], int] = {}
    found: dict[tuple[int, int], int] = {}
    for frame_id, name, since in sorted(named, key=lambda one: one[2]):
        if name not in known:
            waiting.setdefault((name, frame_id), since)
            continue
        found.setdefault((frame_id, known[name]), since)
        found.setdefault((known[name], frame_id), since)
    if waiting:
        cursor.execute(_WAITING, _columns([(*key, since) for key, since in sorted(waiting.items())]), prepare=True)
    return [(*pair, since) for pair, since in sorted(found.items())]


def _copy(cursor: Cursor, statement: str, types: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    take_packed(cursor)
    with cursor.copy(statement.encode()) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _record(recorded: Recorded) -> FrameRecord:
    assert isinstance(recorded.event, FileProcessed | FrameAmended)
    return recorded.event.record


def _of(recorded: Recorded) -> tuple[FrameVersion, ...]:
    return recorded.event.versions if isinstance(recorded.event, FileProcessed) else ()


def _version(version: FrameVersion, frame_id: int, recorded: Recorded) -> _Version:
    return (
        version.id,
        frame_id,
        version.size,
        recorded.position,
        version.created or recorded.at,
        version.key,
        version.md5,
        version.extension,
        version.path,
        bytes.fromhex(version.hashes.sha256) if version.hashes else None,
        False,
    )
