"""One provider account or folder, opened for one storage configuration: a small port with an error contract.

Every method may raise RetryLater (passing fault), NeedsAuthorization, DestinationPaused (quota, limits) and GiveUp
(configuration); `put` and `finish` also ChecksumMismatch, when the provider itself finds that the bytes aren't those
of the upload's hashes (nothing has appeared then, and the next attempt begins anew). Adapters classify their
provider's faults in exactly one function and never raise anything else; no message holds a secret. An adapter
switches off its SDK's own retries: the transfer's schedule decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from domain.hashes import Hashes


class Upload(msgspec.Struct, frozen=True):
    """What is to arrive: `path` is the full path in the destination, beginning with a slash; `size` in bytes;
    `token` identifies this version at this destination and stays the same over all attempts."""

    path: str
    size: int
    hashes: Hashes
    token: str
    content_type: str = "application/fits"


class Session(msgspec.Struct, frozen=True):
    """Where an upload stands: `offset` bytes are confirmed by the provider.

    `state` is what another process needs to go on. It may be a capability, so it is kept sealed, never in an event.
    """

    offset: int
    state: Mapping[str, Any] = {}


class Arrived(msgspec.Struct, frozen=True):
    """An object at the destination. `hashes` holds what the provider itself computed, under the names of Hashes'
    fields; at least one is there. `remote_id` names exactly this object (generation, file id, revision). `made` says
    that this transfer is known to have made it; what was there already, or may have been, is never removed."""

    path: str
    remote_id: str
    size: int
    hashes: Mapping[str, str]
    made: bool = False


class Check(msgspec.Struct, frozen=True):
    """One step of a connection test; `reason` is empty when it passed."""

    name: str
    ok: bool
    reason: str = ""


class Destination(Protocol):
    """An open destination. Used by one thread at a time; `close` when done."""

    chunk_size: int
    """Bytes that `put` takes at a time, the last may be shorter."""
    keeps_session: bool
    """Whether the session must be kept even for a file of one chunk: what `begin` has reserved in it is what makes a
    repetition after an unclear failure harmless."""

    def test(self) -> list[Check]:
        """Credentials, destination reachable, upload allowed (a tiny probe is written and removed), in this order,
        ending at the first that fails. Never raises for a destination's fault: that is a failed check."""
        ...

    def find(self, upload: Upload) -> Arrived | None:
        """What is at the upload's path now, if anything. Asked before the first byte and after unclear failures."""
        ...

    def look(self, upload: Upload, remote_id: str) -> Arrived | None:
        """What is there now of a copy that was delivered as `remote_id`; None when it is gone, or in the bin. Asks for
        the provider's own checksum, so that nothing is fetched. `upload` may have hashes that are empty: unknown.
        A destination that can't be reached at all is an error, not a missing copy."""
        ...

    def expect(self, uploads: Sequence[Upload]) -> None:
        """These are about to begin, each with `begin`: what would have to be asked for each of them may be asked for
        all at once. Nothing is made by it, and it never raises; whether they do begin is still open."""
        ...

    def begin(self, upload: Upload, resume: Session | None) -> Session:
        """Start an upload, or go on with `resume` from what the provider has confirmed (a lost session starts anew:
        offset 0)."""
        ...

    def put(self, upload: Upload, session: Session, data: bytes) -> Session:
        """Send the bytes at `session.offset`; the answer says how many are confirmed (maybe fewer than sent)."""
        ...

    def finish(self, upload: Upload, session: Session) -> Arrived:
        """Make the object appear at its path, once. Never replaces different bytes: raises GiveUp then. Repeating
        it after an unclear failure gives the same object; only what was surely `made` by it is said to be."""
        ...

    def remove(self, arrived: Arrived) -> None:
        """Remove exactly this object, which an attempt of ours created; absent is no error."""
        ...

    def abandon(self, upload: Upload, session: Session) -> None:
        """Drop an unfinished upload at the provider, so that nothing is left behind."""
        ...

    def close(self) -> None: ...
