"""The Frame aggregate: one data product known by its basename, with its versions.

Ingest only ever creates or appends; nothing is read first for a new frame. What makes a version unique over all
frames (md5, store key) is claimed by name in the same commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

import msgspec

from domain.deletion import SafeToDelete
from domain.errors import NotAllowedNow
from domain.event import Event, Recorded
from domain.frame_record import FrameRecord
from domain.hashes import Hashes
from domain.thumbnails import Thumbnail, ThumbnailAdded, ThumbnailRemoved, claim_of

CalibrationOutcome = Literal["failed", "no_masters"]


class FrameVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One set of bytes. `path` and `key` name them in the file store; `size` is in bytes, and unknown (with the
    hashes) when another program stored the file. `created` is when another archive took it in, for one that was
    imported; otherwise it came when its event was written."""

    id: int
    key: str
    md5: str
    extension: str
    path: str = ""
    size: int | None = None
    hashes: Hashes | None = None
    created: datetime | None = None


class FileProcessed(Event, frozen=True, kw_only=True):
    """A version and its record arrived. `headers` is the whole header as a JSON object."""

    topic: ClassVar[str] = "frame.file_processed"
    frame_id: int
    record: FrameRecord
    headers: msgspec.Raw
    versions: tuple[FrameVersion, ...]
    observation: str | None = None
    calibrated_from: str | None = None


class FrameAmended(Event, frozen=True, kw_only=True):
    """The record or the headers changed without new bytes. Without `headers` (null) they stay as they are."""

    topic: ClassVar[str] = "frame.amended"
    frame_id: int
    record: FrameRecord
    headers: msgspec.Raw = msgspec.Raw(b"null")  # msgspec can't read a `Raw | None` that isn't null

    @property
    def has_headers(self) -> bool:
        """Whether it brings headers."""
        return bytes(self.headers) != b"null"


class RelatedFramesChanged(Event, frozen=True, kw_only=True):
    """Somebody changed by hand which frames belong together. Names that are `removed` are no longer among the record's
    related ones, those `added` are; links go both ways."""

    topic: ClassVar[str] = "frame.related_frames_changed"
    frame_id: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class CalibrationCompleted(Event, frozen=True, kw_only=True):
    """The calibrated file of this raw frame has arrived: version `version_id` of frame `calibrated`. `outdated`: it
    came before the raw frame's newest version did, whose calibrated file is still to come."""

    topic: ClassVar[str] = "frame.calibration_completed"
    calibrated: str
    version_id: int
    observation: str | None = None
    outdated: bool = False


class CalibrationFailed(Event, frozen=True, kw_only=True):
    """No calibrated file will come: the pipeline failed, or there were no matching masters."""

    topic: ClassVar[str] = "frame.calibration_failed"
    outcome: CalibrationOutcome
    reason: str = ""
    observation: str | None = None


class CopyWanted(Event, frozen=True, kw_only=True):
    """Beyond the destinations of the frame's observation, another is to get a version: for `standing_delivery`, or
    since somebody asked for frames that were there already. It is stored together with the transfer's request, so that
    whoever decides on the file's deletion knows of all copies."""

    topic: ClassVar[str] = "frame.copy_wanted"
    version_id: int
    storage_config: str
    standing_delivery: str = ""


class FileDeletedFromServer(Event, frozen=True, kw_only=True):
    """The bytes of a version are to be removed from the file store; `justified_by` are the completed, verified
    transfers that made it safe."""

    topic: ClassVar[str] = "frame.file_deleted_from_server"
    frame_id: int
    version_id: int
    path: str
    key: str
    justified_by: tuple[str, ...]


class FrameDeleted(Event, frozen=True, kw_only=True):
    """An operator removed the frame with all its versions and thumbnails."""

    topic: ClassVar[str] = "frame.deleted"
    frame_id: int
    versions: tuple[FrameVersion, ...]
    thumbnails: tuple[Thumbnail, ...] = ()


class FilesRemoved(Event, frozen=True, kw_only=True):
    """The bytes that an earlier event of this stream gave up, at stream version `deletion`, have left the file store,
    and the names that they held are free again. Never before: else the same bytes, ingested anew, could be taken for
    the old ones and removed."""

    topic: ClassVar[str] = "frame.files_removed"
    deletion: int


def stream_of(basename: str) -> str:
    """The stream that a frame's events live in follows from its basename alone."""
    return f"frame:{basename}"


def claims_of(version: FrameVersion) -> tuple[str, str]:
    """The names that no other version, of this or any frame, may hold."""
    return f"md5:{version.md5}", f"key:{version.key}"


def names_given_up(event: FrameDeleted) -> tuple[str, ...]:
    """The claims that are free once the bytes of a deleted frame are gone."""
    held = (claim for version in event.versions for claim in claims_of(version))
    return (*held, *(claim_of(thumbnail.basename) for thumbnail in event.thumbnails))


def observation_of(event: FileProcessed) -> str | None:
    """The observation that a file belongs to: as given at ingest, else by the number in its headers."""
    if event.observation:
        return event.observation
    number = event.record.observation_id
    return None if number is None else str(number)


def is_calibrated(event: FileProcessed) -> bool:
    """Whether a file is a calibrated product: it says of which raw frame, or its reduction level is above 0."""
    return event.calibrated_from is not None or event.record.reduction_level > 0


class Frame(msgspec.Struct, frozen=True):
    """What the commands need to know of a frame. `assigned_to` are the observations that whoever ingested it named,
    rather than a number in its headers; `removed` are the stream versions of deletions whose bytes are gone; `copies`
    are versions with destinations that aren't the observation's; `arrived` is the position of the newest arrival, and
    `first_arrived` that of the first. `calibrated` are the calibrated files of all its versions, `calibration_settled`
    says whether the newest one's has come, or won't.
    `observations` are all that versions of this frame have belonged to: copies may be on their way for any of them."""

    id: int = 0
    record: FrameRecord | None = None
    headers: msgspec.Raw = msgspec.Raw(b"{}")
    versions: tuple[FrameVersion, ...] = ()
    deleted_from_server: frozenset[int] = frozenset()
    observation: str | None = None
    observations: tuple[str, ...] = ()
    assigned_to: frozenset[str] = frozenset()
    calibrated_from: str | None = None
    calibrated: tuple[tuple[str, int], ...] = ()
    calibration_settled: bool = False
    calibration_failed: bool = False
    thumbnails: tuple[Thumbnail, ...] = ()
    removed: frozenset[int] = frozenset()
    copies: frozenset[tuple[int, str]] = frozenset()
    arrived: int = 0
    first_arrived: int = 0
    exists: bool = False
    stream_version: int = 0

    @property
    def newest(self) -> FrameVersion | None:
        """The version that arrived last."""
        return self.versions[-1] if self.versions else None

    def version(self, version_id: int) -> FrameVersion | None:
        """The version with this id, if the frame has it."""
        return next((version for version in self.versions if version.id == version_id), None)

    def thumbnail(self, basename: str) -> Thumbnail | None:
        """The thumbnail of this basename, if the frame has it."""
        return next((thumbnail for thumbnail in self.thumbnails if thumbnail.basename == basename), None)

    @property
    def is_raw(self) -> bool:
        """Whether this is a frame as the camera gave it."""
        return self.record is not None and self.record.reduction_level == 0 and self.calibrated_from is None

    def expects_calibration(self) -> bool:
        """True for a raw frame whose newest version nobody has calibrated, and nobody has said can't be."""
        return self.is_raw and not self.calibration_settled


def evolve(frame: Frame, recorded: Recorded) -> Frame:
    """The frame after one more of its events."""
    replace = msgspec.structs.replace
    frame = replace(frame, stream_version=recorded.version)
    match recorded.event:
        case FileProcessed() as event:
            named = observation_of(event)
            return replace(
                frame,
                exists=True,
                arrived=recorded.position,
                first_arrived=frame.first_arrived or recorded.position,
                id=event.frame_id,
                record=event.record,
                headers=event.headers,
                versions=frame.versions + event.versions,
                observation=named or frame.observation,
                observations=tuple(dict.fromkeys((*frame.observations, *([named] if named else ())))),
                assigned_to=frame.assigned_to | ({event.observation} if event.observation else set()),
                calibrated_from=event.calibrated_from or frame.calibrated_from,
                calibration_settled=frame.calibration_settled and not event.versions,
                calibration_failed=frame.calibration_failed and not event.versions,
            )
        case FrameAmended() as event:
            headers = event.headers if event.has_headers else frame.headers
            return replace(frame, exists=True, id=event.frame_id, record=event.record, headers=headers)
        case RelatedFramesChanged() as event if frame.record is not None:
            kept = (name for name in frame.record.related if name not in event.removed)
            related = tuple(dict.fromkeys((*kept, *event.added)))
            return replace(frame, record=replace(frame.record, related=related))
        case CalibrationCompleted() as event:
            calibrated = (*frame.calibrated, (event.calibrated, event.version_id))
            settled = frame.calibration_settled or not event.outdated
            return replace(frame, calibrated=calibrated, calibration_settled=settled)
        case CalibrationFailed():
            return replace(frame, calibration_failed=True, calibration_settled=True)
        case CopyWanted() as event:
            return replace(frame, copies=frame.copies | {(event.version_id, event.storage_config)})
        case FileDeletedFromServer() as event:
            return replace(frame, deleted_from_server=frame.deleted_from_server | {event.version_id})
        case ThumbnailAdded() as event:
            others = tuple(one for one in frame.thumbnails if one.id != event.thumbnail.id)
            return replace(frame, thumbnails=(*others, event.thumbnail))
        case ThumbnailRemoved() as event:
            left = tuple(one for one in frame.thumbnails if one.id != event.thumbnail.id)
            return replace(frame, thumbnails=left)
        case FilesRemoved() as event:
            return replace(frame, removed=frame.removed | {event.deletion})
        case FrameDeleted():
            return Frame(removed=frame.removed, stream_version=recorded.version)
        case _:
            return frame


def fold(history: Iterable[Recorded]) -> Frame:
    """The frame that a stream tells of; `exists` is false when it tells of none."""
    frame = Frame()
    for recorded in history:
        frame = evolve(frame, recorded)
    return frame


def report_calibration_failure(frame: Frame, outcome: CalibrationOutcome, reason: str) -> tuple[Event, ...]:
    """Decide on the pipeline's word that no calibrated file will come of the newest version. Saying so twice changes
    nothing."""
    if frame.calibrated and frame.calibration_settled:
        raise NotAllowedNow("This frame has a calibrated file already, so its calibration can't have failed.")
    if frame.calibration_failed:
        return ()
    return (CalibrationFailed(outcome=outcome, reason=reason, observation=frame.observation),)


def complete_calibration(frame: Frame, calibrated: str, version_id: int, *, at: int | None = None) -> tuple[Event, ...]:
    """Decide on the arrival, at position `at`, of a calibrated file for this raw frame."""
    if (calibrated, version_id) in frame.calibrated:
        return ()
    outdated = at is not None and frame.first_arrived < at < frame.arrived
    return (
        CalibrationCompleted(
            calibrated=calibrated, version_id=version_id, observation=frame.observation, outdated=outdated
        ),
    )


def want_copy(frame: Frame, version_id: int, storage_config: str, standing_delivery: str = "") -> tuple[Event, ...]:
    """Decide on a further destination for a version; wanting it twice changes nothing. Raises NotAllowedNow for bytes
    that have left the server."""
    if frame.version(version_id) is None or version_id in frame.deleted_from_server:
        raise NotAllowedNow("The file is no longer on the server.")
    if (version_id, storage_config) in frame.copies:
        return ()
    return (CopyWanted(version_id=version_id, storage_config=storage_config, standing_delivery=standing_delivery),)


def delete_from_server(frame: Frame, safe: SafeToDelete) -> tuple[Event, ...]:
    """Decide to remove a version's bytes. Only domain/deletion.py can say that it is safe."""
    version = frame.version(safe.version_id)
    if version is None or safe.version_id in frame.deleted_from_server:
        return ()
    return (
        FileDeletedFromServer(
            frame_id=frame.id,
            version_id=version.id,
            path=version.path,
            key=version.key,
            justified_by=safe.justified_by,
        ),
    )


def delete(frame: Frame) -> tuple[Event, ...]:
    """Decide to remove the frame with all that it has."""
    if not frame.exists:
        return ()
    return (FrameDeleted(frame_id=frame.id, versions=frame.versions, thumbnails=frame.thumbnails),)


def amend(frame: Frame, changes: Mapping[str, Any]) -> tuple[Event, ...]:
    """Decide on other values for some fields of the record."""
    assert frame.record is not None
    record = msgspec.structs.replace(frame.record, **changes)
    return () if record == frame.record else (FrameAmended(frame_id=frame.id, record=record),)


def relate(frame: Frame, wanted: Sequence[str], linked: Sequence[str]) -> tuple[RelatedFramesChanged, ...]:
    """Decide on another set of related frames, given those that are linked now."""
    assert frame.record is not None
    now = dict.fromkeys((*frame.record.related, *linked))
    added = tuple(name for name in dict.fromkeys(wanted) if name not in linked and name != frame.record.basename)
    removed = tuple(name for name in now if name not in wanted)
    if not added and not removed:
        return ()
    return (RelatedFramesChanged(frame_id=frame.id, added=added, removed=removed),)
