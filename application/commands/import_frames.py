"""Frames of another archive are taken over with their ids, so that saved addresses go on working.

Repeating it changes nothing, and takes over what the original has got since: versions that are missing here, and the
record, unless somebody has changed that here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from application.ports.clock import Clock
from application.ports.event_log import Commit, EventLog, Write
from application.ports.imported_ids import ImportedIds
from application.ports.original_archive import OriginalFrame, OriginalThumbnail, Refused
from application.transact import TRIES
from domain import frames, thumbnails
from domain.errors import AlreadyExists, InvalidInput, StreamConflict
from domain.event import Cause, Event, Recorded
from domain.frame_record import FrameRecord
from domain.frames import FileProcessed, Frame, FrameAmended, FrameVersion, RelatedFramesChanged
from domain.thumbnails import Thumbnail, ThumbnailAdded, ThumbnailRemoved

VIA = "import"
NO_HEADERS = msgspec.Raw(b"{}")

FilePath = Callable[[FrameRecord, str, msgspec.Raw], str]
"""Where the file store keeps a version, from its frame's record, its extension and its frame's headers."""
ThumbnailPath = Callable[[FrameRecord, str], str]
"""Where it keeps a thumbnail, from its frame's record and its file name."""
Headers = Callable[[Sequence[int]], Mapping[int, msgspec.Raw]]


class Outcome(msgspec.Struct, frozen=True):
    """What came of some frames: how many are new, have got something new, were here already; and the refused."""

    new: int = 0
    changed: int = 0
    known: int = 0
    refused: tuple[Refused, ...] = ()


class _Decided(msgspec.Struct, frozen=True):
    original: OriginalFrame
    write: Write
    claims: tuple[str, ...]
    new: bool


class FrameImport(msgspec.Struct, frozen=True, kw_only=True):
    """What the import of frames needs. Ids up to `shared_ids` may be in use here for something else."""

    log: EventLog
    clock: Clock
    ids: ImportedIds
    headers: Headers
    file_path: FilePath
    thumbnail_path: ThumbnailPath
    cause: Cause
    shared_ids: int = 0
    dry_run: bool = False

    def run(self, originals: Sequence[OriginalFrame]) -> Outcome:
        """Take over some frames in one commit (or only say what would be done). Raises RetryLater."""
        for _ in range(TRIES):
            try:
                return self._try(originals)
            except (StreamConflict, AlreadyExists):
                continue  # somebody ingests beside us: look again
            except InvalidInput as error:
                if len(originals) == 1:
                    return Outcome(refused=(Refused(f"frame {originals[0].id}", str(error)),))
                return _sum(self.run([original]) for original in originals)
        raise StreamConflict("Others change the same frames all the time; run the import again when it is quieter.")

    def _try(self, originals: Sequence[OriginalFrame]) -> Outcome:
        histories = self.log.load_many([frames.stream_of(original.record.basename) for original in originals])
        foreign = self._foreign(originals)
        refused: list[Refused] = []
        decided: list[_Decided] = []
        for original in originals:
            stream = frames.stream_of(original.record.basename)
            history = histories.get(stream, ())
            before = frames.fold(history)
            reason = foreign.get(original.id) or _refusal(original, before)
            if reason:
                refused.append(Refused(_name(original), reason))
            elif events := self._decide(original, before, history):
                write = Write(stream, before.stream_version, events)
                decided.append(_Decided(original, write, _claims(events), not before.exists))
        decided, taken = self._free(decided)
        known = len(originals) - len(refused) - len(decided) - len(taken)
        if decided and not self.dry_run:
            self._append(decided)
        new = sum(one.new for one in decided)
        return Outcome(new, len(decided) - new, known, (*refused, *taken))

    def _append(self, decided: Sequence[_Decided]) -> None:
        arriving = [one for one in decided if any(_brings_record(event) for event in one.write.events)]
        found = self.headers([one.original.id for one in arriving])
        writes = [self._with_headers(one, found.get(one.original.id, NO_HEADERS)) for one in decided]
        claims = tuple(claim for one in decided for claim in one.claims)
        self.log.append(Commit(writes=tuple(writes), cause=self.cause, at=self.clock.now(), claims=claims))

    def _with_headers(self, decided: _Decided, headers: msgspec.Raw) -> Write:
        """What is written, with the headers and the paths that follow from them."""
        replace = msgspec.structs.replace

        def completed(event: Event) -> Event:
            match event:
                case FileProcessed():
                    record = decided.original.record
                    versions = tuple(
                        replace(version, path=self.file_path(record, version.extension, headers))
                        for version in event.versions
                    )
                    return replace(event, headers=headers, versions=versions)
                case FrameAmended():
                    return replace(event, headers=headers)
                case _:
                    return event

        return replace(decided.write, events=tuple(completed(event) for event in decided.write.events))

    def _free(self, decided: Sequence[_Decided]) -> tuple[list[_Decided], list[Refused]]:
        """Those whose names are free; bytes that are here under another name stay where they are."""
        taken = self.log.claimed([claim for one in decided for claim in one.claims])
        free, refused = [], []
        for one in decided:
            if mine := sorted(taken.intersection(one.claims)):
                reason = f"another frame here has {', '.join(claim.replace(':', ' ', 1) for claim in mine)} already"
                refused.append(Refused(_name(one.original), reason))
            else:
                free.append(one)
        return free, refused

    def _foreign(self, originals: Sequence[OriginalFrame]) -> dict[int, str]:
        """Why frames can't keep their ids: these are in use here for something else."""
        shared = [original for original in originals if _least_id(original) <= self.shared_ids]
        if not shared:
            return {}
        known = self.ids.frames([original.id for original in shared])
        versions = self.ids.versions([version.id for original in shared for version in original.versions])
        small = self.ids.thumbnails([one.id for original in shared for one in original.thumbnails])
        reasons = {}
        for original in shared:
            if (name := known.get(original.id, original.record.basename)) != original.record.basename:
                reasons[original.id] = f"its id is that of frame {name} here"
            for version in original.versions:
                if version.id in versions and versions[version.id].md5 != version.md5:
                    reasons[original.id] = f"the id of its version {version.id} is in use here for other bytes"
            for thumbnail in original.thumbnails:
                if small.get(thumbnail.id, thumbnail.basename) != thumbnail.basename:
                    reasons[original.id] = f"the id of its thumbnail {thumbnail.id} is in use here for another one"
        return reasons

    def _decide(self, original: OriginalFrame, before: Frame, history: Sequence[Recorded]) -> tuple[Event, ...]:
        record = _merged(before, original.record) if _untouched(history) else before.record or original.record
        there = {version.id for version in before.versions}
        arriving = tuple(
            FrameVersion(
                id=version.id,
                key=version.key,
                md5=version.md5,
                extension=version.extension,
                created=version.created,
            )
            for version in original.versions
            if version.id not in there
        )
        events: list[Event] = []
        if arriving:
            events.append(
                FileProcessed(frame_id=original.id, record=record, headers=msgspec.Raw(b"null"), versions=arriving)
            )
        elif record != before.record:
            events.append(FrameAmended(frame_id=original.id, record=record))
        pictured = {
            recorded.event.thumbnail.id
            for recorded in history
            if isinstance(recorded.event, ThumbnailAdded | ThumbnailRemoved)
        }
        events += [
            ThumbnailAdded(frame_id=original.id, thumbnail=self._thumbnail(original.record, thumbnail))
            for thumbnail in original.thumbnails
            if thumbnail.id not in pictured
        ]
        return tuple(events)

    def _thumbnail(self, record: FrameRecord, thumbnail: OriginalThumbnail) -> Thumbnail:
        return Thumbnail(
            id=thumbnail.id,
            basename=thumbnail.basename,
            extension=thumbnail.extension,
            size=thumbnail.size,
            key=thumbnail.key,
            path=self.thumbnail_path(record, thumbnail.basename + thumbnail.extension),
        )


def _refusal(original: OriginalFrame, frame: Frame) -> str:
    if not frame.exists:
        return "it was deleted here" if frame.stream_version else ""
    if frame.id != original.id:
        return f"there is a frame of this name here already, with the id {frame.id}"
    md5s = {version.id: version.md5 for version in frame.versions}
    if any(md5s.get(version.id, version.md5) != version.md5 for version in original.versions):
        return "a version with the same id has other bytes here"
    return ""


def _untouched(history: Sequence[Recorded]) -> bool:
    """Whether the record is as an import has left it: what was changed here since stays as it is."""
    changes = FileProcessed | FrameAmended | RelatedFramesChanged
    told = [recorded for recorded in history if isinstance(recorded.event, changes)]
    return not told or told[-1].cause.via == VIA


def _merged(before: Frame, record: FrameRecord) -> FrameRecord:
    """The original's record; related names only ever grow."""
    if before.record is None:
        return record
    related = tuple(dict.fromkeys((*before.record.related, *record.related)))
    return msgspec.structs.replace(record, related=related)


def _brings_record(event: Event) -> bool:
    return isinstance(event, FileProcessed | FrameAmended)


def _claims(events: Iterable[Event]) -> tuple[str, ...]:
    claims: list[str] = []
    for event in events:
        match event:
            case FileProcessed():
                claims += [claim for version in event.versions for claim in frames.claims_of(version)]
            case ThumbnailAdded():
                claims.append(thumbnails.claim_of(event.thumbnail.basename))
            case _:
                pass
    return tuple(claims)


def _least_id(original: OriginalFrame) -> int:
    return min([original.id, *(one.id for one in original.versions), *(one.id for one in original.thumbnails)])


def _name(original: OriginalFrame) -> str:
    return f"frame {original.id} ({original.record.basename})"


def _sum(outcomes: Iterable[Outcome]) -> Outcome:
    total = Outcome()
    for one in outcomes:
        total = added(total, one)
    return total


def added(one: Outcome, other: Outcome) -> Outcome:
    """Both together."""
    return Outcome(
        one.new + other.new, one.changed + other.changed, one.known + other.known, (*one.refused, *other.refused)
    )
