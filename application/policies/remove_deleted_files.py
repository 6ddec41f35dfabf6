"""RemoveDeletedFiles: takes the bytes away once the log says that they go, and then frees the names that they held."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from application.policies.policy import cause_of
from application.ports.clock import Clock
from application.ports.event_log import Commit, EventLog, Write
from application.ports.file_store import FileStore
from application.transact import TRIES
from domain import frames, thumbnails
from domain.errors import InvalidInput, StreamConflict
from domain.event import Recorded
from domain.frames import FileDeletedFromServer, FilesRemoved, Frame, FrameDeleted
from domain.thumbnails import Thumbnail, ThumbnailAdded, ThumbnailRemoved

logger = structlog.get_logger()


class RemoveDeletedFiles:
    """An effect. As long as a deleted frame's names are taken nobody can ingest its bytes anew, so removing them again
    after a crash does no harm; once that is recorded, it isn't repeated."""

    name = "RemoveDeletedFiles"
    topics = frozenset(event.topic for event in (FileDeletedFromServer, FrameDeleted, ThumbnailAdded, ThumbnailRemoved))

    def __init__(self, store: FileStore, log: EventLog, clock: Clock) -> None:
        self._store = store
        self._log = log
        self._clock = clock

    def act(self, batch: Sequence[Recorded]) -> None:
        """See Effect.act."""
        for recorded in batch:
            match recorded.event:
                case FileDeletedFromServer() as event if not self._left_with_its_frame(recorded):
                    self._remove(event.path, event.key)
                case FrameDeleted() as event:
                    if recorded.version in self._frame(recorded).removed:
                        continue
                    for version in event.versions:
                        self._remove(version.path, version.key)
                    for thumbnail in event.thumbnails:
                        self._remove(thumbnail.path, thumbnail.key)
                    self._free(recorded, frames.names_given_up(event))
                case ThumbnailRemoved() as event if not event.moved_to:
                    frame = self._frame(recorded)
                    if recorded.version not in frame.removed:
                        self._remove_thumbnail(recorded.stream, event.thumbnail)
                        self._free(recorded, (thumbnails.claim_of(event.thumbnail.basename),))
                case ThumbnailAdded() as event if event.replaced:
                    self._remove_thumbnail(recorded.stream, event.replaced)
                case _:
                    pass

    def _frame(self, recorded: Recorded) -> Frame:
        return frames.fold(self._log.load(recorded.stream))

    def _left_with_its_frame(self, deletion: Recorded) -> bool:
        """Whether the whole frame has been deleted since and its names are free: these bytes may be there anew."""
        history = self._log.load(deletion.stream)
        removed = frames.fold(history).removed
        later = [one.version for one in history if isinstance(one.event, FrameDeleted)]
        return any(version > deletion.version and version in removed for version in later)

    def _remove_thumbnail(self, stream: str, thumbnail: Thumbnail) -> None:
        """Unless these bytes are, again, those of a thumbnail that is there, on this frame or where it has moved."""
        place, streams = (thumbnail.path, thumbnail.key), [stream]
        for one in streams:
            history = self._log.load(one)
            if any((kept.path, kept.key) == place for kept in frames.fold(history).thumbnails):
                return
            events = (past.event for past in history)
            moves = {event.moved_to for event in events if isinstance(event, ThumbnailRemoved) and event.moved_to}
            streams += [other for name in sorted(moves) if (other := frames.stream_of(name)) not in streams]
        self._remove(*place)

    def _remove(self, path: str, key: str) -> None:
        if not path:
            return
        try:
            self._store.delete(path, key)
        except InvalidInput as error:  # no store could ever have kept it there
            logger.warning("nothing can be stored under this path", path=path, reason=str(error))

    def _free(self, deletion: Recorded, names: tuple[str, ...]) -> None:
        for attempt in range(TRIES):
            history = self._log.load(deletion.stream)
            if deletion.version in frames.fold(history).removed:
                return
            removed = FilesRemoved(deletion=deletion.version)
            commit = Commit(
                writes=(Write(deletion.stream, len(history), (removed,)),),
                cause=cause_of(self.name, deletion),
                at=self._clock.now(),
                releases=names,
            )
            try:
                self._log.append(commit)
            except StreamConflict:
                if attempt == TRIES - 1:
                    raise
            else:
                return
