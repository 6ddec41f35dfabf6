"""Frames from events, a batch at a time: arrays into the statements, whatever the batch's size."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from application.ports.sky import Sky
from domain.event import Recorded
from domain.frames import (
    FileDeletedFromServer,
    FileProcessed,
    FrameAmended,
    FrameDeleted,
    RelatedFramesChanged,
)
from domain.thumbnails import ThumbnailAdded, ThumbnailRemoved
from projections.frames.arrivals import Arrivals, Arriving, add, link, merge
from projections.frames.past import keep, remove, remove_links, unrelate
from projections.frames.rounds import Round, rounds
from projections.frames.tables import INDEXES, TABLES
from projections.projection import Cursor

_THUMBNAILS = """
INSERT INTO thumbnail (id, frame_id, since, basename, extension, size, key, path)
SELECT * FROM unnest(%b::int[], %b::int[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[])
ON CONFLICT (id) DO UPDATE SET frame_id = excluded.frame_id, since = excluded.since, basename = excluded.basename,
    extension = excluded.extension, size = excluded.size, key = excluded.key, path = excluded.path
"""


class Made(msgspec.Struct, frozen=True):
    """A round with the rows that its new and other arrivals bring, instead of them."""

    round: Round
    new: Arrivals
    arrived: Arrivals


class FramesProjection:
    """See the package."""

    name = "frames"
    version = 2
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
        self._arriving = Arriving(sky)

    def __reduce__(self) -> tuple[type[FramesProjection], tuple[Sky]]:
        return type(self), (self._sky,)

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """See Projection.apply."""
        for round_ in rounds(events):
            _write(cursor, self._made(round_))

    def prepare(self, events: Sequence[Recorded]) -> list[Made]:
        """See Loaded.prepare."""
        return [self._made(round_) for round_ in rounds(events, new_first=True)]

    def load(self, cursor: Cursor, prepared: Sequence[Made]) -> None:
        """See Loaded.load."""
        for made in prepared:
            _write(cursor, made)

    def _made(self, round_: Round) -> Made:
        made = Made(round_, self._arriving.rows(round_.new), self._arriving.rows(round_.arrived))
        round_.new, round_.arrived = [], []
        return made


def _write(cursor: Cursor, made: Made) -> None:
    if made.new.frames:
        add(cursor, made.new)
    if made.arrived.frames:
        merge(cursor, made.arrived)
    _files_gone(cursor, made.round.gone_files)
    _put_thumbnails(cursor, made.round.thumbnails)
    _thumbnails_gone(cursor, made.round.gone_thumbnails)
    _frames_gone(cursor, made.round.gone_frames)
    for recorded in made.round.relations:
        _change_links(cursor, recorded)


def _files_gone(cursor: Cursor, gone: Sequence[Recorded]) -> None:
    ids = [recorded.event.version_id for recorded in gone if isinstance(recorded.event, FileDeletedFromServer)]
    if ids:
        cursor.execute("UPDATE version SET deleted = true WHERE id = ANY(%b::int[])", (ids,), prepare=True)


def _put_thumbnails(cursor: Cursor, added: Sequence[Recorded]) -> None:
    rows = [
        (one.id, event.frame_id, recorded.position, one.basename, one.extension, one.size, one.key, one.path)
        for recorded in added
        if isinstance(event := recorded.event, ThumbnailAdded)
        for one in (event.thumbnail,)
    ]
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        keep(cursor, "thumbnail", columns[0], columns[2])
        cursor.execute(_THUMBNAILS, columns, prepare=True)


def _thumbnails_gone(cursor: Cursor, gone: Sequence[Recorded]) -> None:
    ids = [recorded.event.thumbnail.id for recorded in gone if isinstance(recorded.event, ThumbnailRemoved)]
    remove(cursor, "thumbnail", "id", ids, [recorded.position for recorded in gone])


def _frames_gone(cursor: Cursor, gone: Sequence[Recorded]) -> None:
    ids = [recorded.event.frame_id for recorded in gone if isinstance(recorded.event, FrameDeleted)]
    if not ids:
        return
    positions = [recorded.position for recorded in gone]
    remove_links(cursor, ids, positions)
    cursor.execute(b"DELETE FROM waiting WHERE frame_id = ANY(%b::int[])", (ids,), prepare=True)
    for table, column in (("version", "frame_id"), ("thumbnail", "frame_id"), ("frame", "id")):
        remove(cursor, table, column, ids, positions)


def _change_links(cursor: Cursor, recorded: Recorded) -> None:
    event = recorded.event
    assert isinstance(event, RelatedFramesChanged)
    frame, removed = event.frame_id, list(event.removed)
    unrelate(cursor, frame, removed, recorded.position)
    cursor.execute("DELETE FROM waiting WHERE frame_id = %s AND basename = ANY(%s)", (frame, removed))
    link(cursor, [(frame, name, recorded.position) for name in event.added])
