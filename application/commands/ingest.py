"""Frames come in: as files whose bytes we keep, or as records of files that another program has stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from application.commands.thumbnails import ThumbnailArrival, put_thumbnail
from application.ports.clock import Clock
from application.ports.event_log import Commit, EventLog, Write
from application.ports.file_store import FileStore, Staged, Stored
from application.ports.frame_reader import Described, FrameReader
from application.ports.lookups import ThumbnailLookup
from application.ports.numbers import Numbers
from application.transact import TRIES
from domain import frames, observations
from domain.errors import AlreadyExists, InvalidInput, NotFound, StreamConflict
from domain.event import Cause, Event, Recorded
from domain.frame_record import FrameRecord
from domain.frames import FileProcessed, Frame, FrameAmended, FrameVersion
from domain.thumbnails import Thumbnail

_FIELDS = frozenset(FrameRecord.__struct_fields__)


class NewVersion(msgspec.Struct, frozen=True):
    """A version as it is handed in, before it has an id."""

    key: str
    md5: str
    extension: str
    path: str = ""
    size: int | None = None
    hashes: Any = None


class FrameArrival(msgspec.Struct, frozen=True, kw_only=True):
    """A record with zero or more versions. `supplied` names the record's fields that were given: for a frame that is
    there already, the others keep their values; related names only ever grow."""

    record: FrameRecord
    headers: msgspec.Raw
    versions: tuple[NewVersion, ...]
    supplied: frozenset[str] = _FIELDS
    observation: str | None = None
    calibrated_from: str | None = None


class Ingested(msgspec.Struct, frozen=True):
    """A frame as it stands after an arrival, with the position from which the read model has it; and the thumbnail,
    when it was that which arrived."""

    frame: Frame
    position: int
    thumbnail: Thumbnail | None = None


def decide_arrival(
    history: Iterable[Recorded], arrival: FrameArrival, numbers: Numbers, *, cause: Cause, now: datetime
) -> tuple[Commit, Frame]:
    """The commit that an arrival leads to, and the frame after it."""
    before = frames.fold(history)
    record = arrival.record if not before.record else _merged(before.record, arrival)
    frame_id = before.id or numbers.take()
    versions = tuple(
        FrameVersion(
            id=numbers.take(),
            key=version.key,
            md5=version.md5,
            extension=version.extension,
            path=version.path,
            size=version.size,
            hashes=version.hashes,
        )
        for version in arrival.versions
    )
    event: Event
    if versions:
        event = FileProcessed(
            frame_id=frame_id,
            record=record,
            headers=arrival.headers,
            versions=versions,
            observation=arrival.observation,
            calibrated_from=arrival.calibrated_from,
        )
    else:
        event = FrameAmended(frame_id=frame_id, record=record, headers=arrival.headers)
    stream = frames.stream_of(record.basename)
    commit = Commit(
        writes=(Write(stream, before.stream_version, (event,)),),
        cause=cause,
        at=now,
        claims=tuple(claim for version in versions for claim in frames.claims_of(version)),
    )
    recorded = Recorded(stream, before.stream_version + 1, 0, now, cause, event)
    return commit, frames.evolve(before, recorded)


def ingest_file(
    staged: Staged,
    filename: str,
    *,
    reader: FrameReader,
    store: FileStore,
    log: EventLog,
    numbers: Numbers,
    clock: Clock,
    cause: Cause,
    observation: str | None = None,
    calibrated_from: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    thumbnails: ThumbnailLookup | None = None,
) -> Ingested:
    """Check a staged file, keep its bytes and record it. `metadata` by header key win over the file's own headers; a
    picture whose metadata name its frame becomes that frame's thumbnail, for which `thumbnails` is needed.

    Raises AlreadyExists when the same bytes are in the archive, InvalidFile when they can't be archived, NotFound
    when `calibrated_from` names no frame; nothing is kept then.
    """
    if log.claimed([f"md5:{staged.hashes.md5}"]):
        raise _known(filename)
    described = reader.describe(staged.file, filename, metadata)
    if described.thumbnail_of:
        if thumbnails is None:
            raise InvalidInput("Thumbnails can't come in this way.", field="metadata")
        picture = _thumbnail(described, _kept(store, staged, filename, described))
        kept = put_thumbnail(log, thumbnails, numbers, clock, cause, picture)
        return Ingested(kept.frame, kept.position, kept.thumbnail)
    raw = _raw_frame(log, calibrated_from)
    if raw and raw.record and described.record.observation_id is None:  # it belongs where its raw frame does
        if raw.observation in raw.assigned_to:
            observation = observation or raw.observation
        record = msgspec.structs.replace(described.record, observation_id=raw.record.observation_id)
        described = msgspec.structs.replace(described, record=record)
    stream = frames.stream_of(described.record.basename)
    history: Sequence[Recorded] = ()
    for attempt in range(TRIES):
        # After the history was read: the bytes may have left with a frame of this name that was deleted meanwhile.
        stored = _kept(store, staged, filename, described)
        version = NewVersion(
            key=stored.key,
            md5=staged.hashes.md5,
            extension=described.extension,
            path=stored.path,
            size=staged.size,
            hashes=staged.hashes,
        )
        arrival = _arrival(described, version, observation, calibrated_from)
        commit, frame = decide_arrival(history, arrival, numbers, cause=cause, now=clock.now())
        try:
            return Ingested(frame, log.append(_with_discovery(log, commit, arrival)))
        except AlreadyExists as error:
            history = log.load(stream)
            if all(known.path != stored.path for known in frames.fold(history).versions):
                store.delete(stored.path, stored.key)  # another ingest of these bytes won, under another name
            raise _known(filename) from error
        except StreamConflict:
            if attempt == TRIES - 1:
                raise
            history = log.load(stream)
    raise AssertionError("unreachable")


def _kept(store: FileStore, staged: Staged, filename: str, described: Described) -> Stored:
    return store.keep(
        staged,
        described.path,
        filename=filename,
        content_type=described.content_type,
        observed=described.record.observation_date,
    )


def _thumbnail(described: Described, stored: Stored) -> ThumbnailArrival:
    """What the frame gets; the record, made of what was said of the thumbnail, serves while the frame isn't there."""
    record = described.record
    return ThumbnailArrival(
        record=msgspec.structs.replace(record, basename=described.thumbnail_of),
        headers=msgspec.Raw(msgspec.json.encode(described.headers)),
        basename=record.basename,
        extension=described.extension,
        size=described.thumbnail_size,
        key=stored.key,
        path=stored.path,
    )


def _arrival(
    described: Described, version: NewVersion, observation: str | None, calibrated_from: str | None
) -> FrameArrival:
    record = described.record
    if calibrated_from and calibrated_from not in record.related:
        record = msgspec.structs.replace(record, related=(*record.related, calibrated_from))
    return FrameArrival(
        record=record,
        headers=msgspec.Raw(msgspec.json.encode(described.headers)),
        versions=(version,),
        observation=observation,
        calibrated_from=calibrated_from,
    )


def _merged(old: FrameRecord, arrival: FrameArrival) -> FrameRecord:
    changes = {name: getattr(arrival.record, name) for name in arrival.supplied & _FIELDS}
    changes["related"] = tuple(dict.fromkeys((*old.related, *arrival.record.related)))
    return msgspec.structs.replace(old, **changes)


def _with_discovery(log: EventLog, commit: Commit, arrival: FrameArrival) -> Commit:
    """An observation that was named by hand at ingest and that nobody has submitted is recorded as discovered."""
    if not arrival.observation or log.load(observations.stream_of(arrival.observation)):
        return commit
    discovered = observations.ObservationDiscovered(
        id=arrival.observation, project=arrival.record.proposal_id, target=arrival.record.target_name
    )
    write = Write(observations.stream_of(arrival.observation), 0, (discovered,))
    return msgspec.structs.replace(commit, writes=(*commit.writes, write))


def _raw_frame(log: EventLog, basename: str | None) -> Frame | None:
    if not basename:
        return None
    frame = frames.fold(log.load(frames.stream_of(basename)))
    if not frame.exists:
        raise NotFound(f"There is no frame {basename} that this file could be calibrated from.")
    return frame


def _known(filename: str) -> AlreadyExists:
    return AlreadyExists(f"{filename} is in the archive already: the same bytes were ingested before.")
