"""What of another archive's ids is here, asked of the frames read model, which must be up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class KnownVersion(msgspec.Struct, frozen=True):
    """A version that is here."""

    frame_id: int
    key: str
    md5: str
    extension: str


class ImportedIds(Protocol):
    """Looks up by id. What isn't there is left out of the answers."""

    def frames(self, ids: Sequence[int]) -> Mapping[int, str]:
        """The basenames of these frames."""
        ...

    def versions(self, ids: Sequence[int]) -> Mapping[int, KnownVersion]:
        """These versions."""
        ...

    def thumbnails(self, ids: Sequence[int]) -> Mapping[int, str]:
        """The basenames of these thumbnails."""
        ...

    def links(self, ids: Sequence[int]) -> frozenset[tuple[int, str]]:
        """The related basenames of these frames, those that have no frame yet included."""
        ...
