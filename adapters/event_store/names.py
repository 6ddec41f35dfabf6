"""What the log can hold as the name of a stream or a claim."""

from __future__ import annotations

from application.ports.event_log import Commit
from domain.errors import InvalidInput

MAX_BYTES = 2600
"""PostgreSQL indexes values up to 2 704 bytes, the row's own few included."""


def storable(name: str) -> bool:
    """Whether the name is text without NUL (PostgreSQL has none) of at most MAX_BYTES bytes of UTF-8."""
    try:
        return len(name.encode()) <= MAX_BYTES and "\0" not in name
    except UnicodeEncodeError:
        return False


def check_names(commit: Commit) -> None:
    """Raise InvalidInput when a stream or claim of the commit can't be stored."""
    for write in commit.writes:
        _check(write.stream)
    for stream, _ in commit.guards:
        _check(stream)
    for claim in (*commit.claims, *commit.releases):
        _check(claim)


def _check(name: str) -> None:
    if not storable(name):
        shown = ascii(name[:40])
        raise InvalidInput(f"The name {shown} has more than {MAX_BYTES} bytes, or characters that can't be stored.")
