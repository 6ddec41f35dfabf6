"""An archive of the OCS (science-archive 2.x) that is to be taken over, as a port: read page by page, never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from domain.frame_record import FrameRecord


class OriginalVersion(msgspec.Struct, frozen=True):
    """One version, with the original's id and the time at which it took the version in (UTC)."""

    id: int
    key: str
    md5: str
    extension: str
    created: datetime | None = None


class OriginalThumbnail(msgspec.Struct, frozen=True):
    """One thumbnail, with the original's id."""

    id: int
    basename: str
    extension: str
    size: str
    key: str


class OriginalFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One frame, with the original's id and its versions oldest first. `record.related` names each linked frame on one
    side of the link at least. Without versions it may be a placeholder: a name that another frame was related to."""

    id: int
    record: FrameRecord
    versions: tuple[OriginalVersion, ...] = ()
    thumbnails: tuple[OriginalThumbnail, ...] = ()


class OriginalAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One user; `tokens` in clear, `password_hash` in Django's form or empty."""

    username: str
    is_superuser: bool = False
    is_staff: bool = False
    active: bool = True
    tokens: tuple[str, ...] = ()
    password_hash: str = ""

    def __repr__(self) -> str:
        return f"OriginalAccount({self.username!r})"  # neither tokens nor hashes in a traceback


class Refused(msgspec.Struct, frozen=True):
    """Something that can't be taken over, and why."""

    what: str
    reason: str


class OriginalPage(msgspec.Struct, frozen=True):
    """Some frames in the order of their ids, those that can't be understood apart."""

    frames: Sequence[OriginalFrame]
    refused: Sequence[Refused] = ()


class Totals(msgspec.Struct, frozen=True):
    """How much there is. None: this way in can't tell."""

    frames: int
    versions: int | None = None
    thumbnails: int | None = None
    accounts: int | None = None


class OriginalArchive(Protocol):
    """One way in to the original. May be used by one thread at a time."""

    name: str
    """What it is, for people and for the log; holds no secret."""

    def totals(self) -> Totals:
        """How much there is now. Raises RetryLater."""
        ...

    def largest_id(self) -> int:
        """The highest id of a frame, version or thumbnail; 0 when there is none. Raises RetryLater."""
        ...

    def pages(self) -> Iterator[OriginalPage]:
        """All frames, page by page. Raises RetryLater, InvalidInput when it isn't an archive of the OCS."""
        ...

    def headers(self, frame_ids: Sequence[int]) -> Mapping[int, msgspec.Raw]:
        """The headers of these frames as compact JSON objects; a frame that has none is left out. Raises RetryLater."""
        ...

    def accounts(self) -> Sequence[OriginalAccount]:
        """All users, those that this way in shows. Raises RetryLater."""
        ...
