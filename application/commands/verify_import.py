"""Whether all of another archive is here, told after an import: every id, md5, key and link; and some frames whole.

The frames read model must be up to date. A file that its operator deleted here since is told as a difference, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from application.commands.accounts import hash_token
from application.commands.import_frames import Headers
from application.ports.event_log import EventLog
from application.ports.file_store import FileStore
from application.ports.imported_ids import ImportedIds
from application.ports.original_archive import OriginalAccount, OriginalFrame
from domain import accounts, frames
from domain.errors import StarferryError
from domain.frames import Frame

SAMPLE_EVERY = 97
"""One frame in so many is compared whole, headers included (all of a small archive)."""
SMALL = 2000


class Checked(msgspec.Struct, frozen=True):
    """How much of the original was looked at."""

    frames: int = 0
    versions: int = 0
    thumbnails: int = 0
    links: int = 0
    whole: int = 0
    files: int = 0


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What the check needs. With `store` each object is looked up there."""

    log: EventLog
    ids: ImportedIds
    headers: Headers
    tell: Callable[[str], None]
    """Hears of each difference."""
    store: FileStore | None = None
    every: int = SAMPLE_EVERY

    def check_frames(self, originals: Sequence[OriginalFrame], before: Checked) -> Checked:
        """Compare some frames; `before` is what was looked at so far, the answer is with these. Raises RetryLater."""
        for difference in self._by_ids(originals):
            self.tell(difference)
        sample = [
            original
            for number, original in enumerate(originals, start=before.frames)
            if number < SMALL or number % self.every == 0
        ]
        self._whole(sample)
        return Checked(
            frames=before.frames + len(originals),
            versions=before.versions + sum(len(original.versions) for original in originals),
            thumbnails=before.thumbnails + sum(len(original.thumbnails) for original in originals),
            links=before.links + sum(len(original.record.related) for original in originals),
            whole=before.whole + len(sample),
            files=before.files + (self._files(originals) if self.store else 0),
        )

    def check_accounts(self, originals: Sequence[OriginalAccount]) -> None:
        """Every user is here with all tokens."""
        streams = {accounts.stream_of(original.username): original for original in originals}
        found = self.log.load_many(list(streams))
        for stream, original in streams.items():
            account = accounts.fold(found.get(stream, ()))
            if not account.exists:
                self.tell(f"user {original.username} isn't here")
            elif {hash_token(token) for token in original.tokens} - set(account.tokens):
                self.tell(f"a token of user {original.username} isn't here")

    def _by_ids(self, originals: Sequence[OriginalFrame]) -> Iterator[str]:
        ids = [original.id for original in originals]
        names, links = self.ids.frames(ids), self.ids.links(ids)
        versions = self.ids.versions([version.id for original in originals for version in original.versions])
        pictures = self.ids.thumbnails([one.id for original in originals for one in original.thumbnails])
        for original in originals:
            name = f"frame {original.id} ({original.record.basename})"
            if original.id not in names:
                yield f"{name} isn't here"
                continue
            if names[original.id] != original.record.basename:
                yield f"{name} is {names[original.id]} here"
            for version in original.versions:
                known = versions.get(version.id)
                wanted = (original.id, version.key, version.md5, version.extension)
                if known is None or msgspec.structs.astuple(known) != wanted:
                    yield f"{name}: version {version.id} is {'another one' if known else 'not'} here"
            for one in original.thumbnails:
                if pictures.get(one.id) != one.basename:
                    yield f"{name}: thumbnail {one.id} isn't here"
            for related in original.record.related:
                if related != original.record.basename and (original.id, related) not in links:
                    yield f"{name}: the link to {related} isn't here"

    def _whole(self, sample: Sequence[OriginalFrame]) -> None:
        found = self.log.load_many([frames.stream_of(original.record.basename) for original in sample])
        headers = self.headers([original.id for original in sample])
        for original in sample:
            frame = frames.fold(found.get(frames.stream_of(original.record.basename), ()))
            if not frame.exists:
                continue  # told above
            for name in _differing(original, frame, headers):
                self.tell(f"frame {original.id} ({original.record.basename}): its {name} differs here")

    def _files(self, originals: Sequence[OriginalFrame]) -> int:
        """Look up each object in the store, and return how many there should be."""
        assert self.store is not None
        found = self.log.load_many([frames.stream_of(original.record.basename) for original in originals])
        looked = 0
        for history in found.values():
            frame = frames.fold(history)
            places = [(one.path, one.key) for one in frame.versions if one.id not in frame.deleted_from_server]
            places += [(one.path, one.key) for one in frame.thumbnails]
            looked += len(places)
            for path, key in places:
                try:
                    self.store.size(path, key)
                except StarferryError as error:
                    self.tell(f"{path} isn't in the file store: {error}")
        return looked


def _differing(original: OriginalFrame, frame: Frame, headers: Mapping[int, msgspec.Raw]) -> Iterator[str]:
    assert frame.record is not None
    for name in original.record.__struct_fields__:
        theirs, ours = getattr(original.record, name), getattr(frame.record, name)
        if not (set(theirs) <= set(ours) if name == "related" else theirs == ours):
            yield name.replace("_", " ")
    wanted = headers.get(original.id)
    if wanted is not None and msgspec.json.decode(bytes(wanted)) != msgspec.json.decode(bytes(frame.headers)):
        yield "header"
    created = {version.id: version.created for version in original.versions}
    if any(created.get(version.id, version.created) != version.created for version in frame.versions):
        yield "time of arrival"
