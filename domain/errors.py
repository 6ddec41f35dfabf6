"""Every error of Starferry, in one tree, classed by what the caller should do next.

    StarferryError
    ├── InvalidInput          mend the input and ask again                        HTTP 400
    │   ├── InvalidFile       these bytes can't be archived; the sentence says why
    │   │   ├── NotFits
    │   │   ├── TruncatedFile
    │   │   ├── MissingHeader
    │   │   ├── AbsurdSize
    │   │   └── ExpandsTooMuch
    │   └── InvalidGeometry
    ├── NotFound              it isn't there, or you may not see it               HTTP 404
    ├── Forbidden             you may see it but not do this                      HTTP 403
    ├── Unauthenticated       say who you are                                     HTTP 401
    ├── Conflict              the state has moved on; look again                  HTTP 409
    │   ├── AlreadyExists     the same thing is already there
    │   ├── StreamConflict    somebody else appended first: load again and decide again
    │   └── NotAllowedNow     a rule of the aggregate forbids this in its present state
    ├── RetryLater            nothing is wrong with the request; try again        HTTP 503
    ├── Throttled             too many requests of the same asker: wait           HTTP 429
    ├── NeedsAuthorization    the owner must authorize the destination again
    ├── DestinationPaused     quota or daily limit: the destination waits, no attempt is used up
    ├── GiveUp                no retry can mend it
    ├── ChecksumMismatch      the bytes that arrived differ from ours (counts as a failed attempt)
    └── Misconfigured         the operator must mend a setting; the program doesn't start

A message is one plain sentence for the person who meets it. It never holds a secret.
"""

from __future__ import annotations

from math import ceil


class StarferryError(Exception):
    """The root. `str()` of it is a sentence that may be shown to a user."""


class InvalidInput(StarferryError):
    """The request itself is wrong. `field` names the part to mend, where there is one."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidFile(InvalidInput):
    """These bytes can't be archived."""


class NotFits(InvalidFile):
    """The bytes aren't FITS."""


class TruncatedFile(InvalidFile):
    """The file ends before its headers say it should."""


class MissingHeader(InvalidFile):
    """A header that the archive needs is absent or unreadable."""


class AbsurdSize(InvalidFile):
    """A header claims a size that no real frame has."""


class ExpandsTooMuch(InvalidFile):
    """A small compressed file would unpack to far more than any frame needs."""


class InvalidGeometry(InvalidInput):
    """A position or region that can't be understood."""


class NotFound(StarferryError):
    """It doesn't exist, or the asker may not know that it does."""


class Forbidden(StarferryError):
    """The asker may see it, but may not do this."""


class Unauthenticated(StarferryError):
    """No credentials, or credentials that aren't valid."""


class Conflict(StarferryError):
    """The request doesn't fit the present state."""


class AlreadyExists(Conflict):
    """The same thing is already there; `taken` names what was claimed before (`md5:…`, `key:…`, a stream)."""

    def __init__(self, message: str, *, taken: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.taken = taken


class StreamConflict(Conflict):
    """Another writer appended to one of the streams first."""


class NotAllowedNow(Conflict):
    """The aggregate's rules forbid the command in its present state."""


class RetryLater(StarferryError):
    """A passing fault. `retry_after` is the least number of seconds to wait, where the other side said."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Throttled(StarferryError):
    """The asker has used up what they may ask for; more is free in `wait` seconds (at least 1)."""

    def __init__(self, wait: float) -> None:
        self.wait = max(1, ceil(wait))
        super().__init__(
            f"Request was throttled. Expected available in {self.wait} second{'' if self.wait == 1 else 's'}."
        )


class NeedsAuthorization(StarferryError):
    """The destination's credentials have expired or were revoked: its owner must authorize again."""


class DestinationPaused(StarferryError):
    """The destination is full or over a limit. `probe_after` is the seconds until a probe makes sense."""

    def __init__(self, message: str, *, probe_after: float = 3600.0) -> None:
        super().__init__(message)
        self.probe_after = probe_after


class GiveUp(StarferryError):
    """Permanent: trying again can't help until somebody changes the configuration."""


class ChecksumMismatch(StarferryError):
    """What arrived isn't what was sent."""


class Misconfigured(StarferryError):
    """A setting is unknown, missing or can't be right; the sentence names it and says what to do."""
