"""What sends mail, and what gathers failures until there is a mail to send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from application.permissions import Audience
from domain.transfer_events import TransferRequested


class Mailbox(msgspec.Struct, frozen=True):
    """Somebody who wants mail about what comes after `since` in the log."""

    username: str
    since: int


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """One failure, for one person."""

    username: str
    storage_config: str
    position: int
    transfer: str
    frame: str
    reason: str
    at: datetime


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """What one mail tells one person of one destination: all up to a position in the log. `reasons` are the most
    frequent with the number of transfers, `frames` the first ones."""

    id: str
    username: str
    storage_config: str
    attempts: int
    upto: int
    transfers: int
    since: datetime
    reasons: tuple[tuple[str, int], ...]
    frames: tuple[str, ...]


class Mailer(Protocol):
    """Hands mail to a server."""

    def send(self, to: str, subject: str, text: str, message_id: str) -> None:
        """Send plain text to one address. Raises RetryLater, GiveUp when the address is refused for good."""
        ...


class DigestBook(Protocol):
    """Gathers failures by person and destination. Every method may raise RetryLater."""

    def add(self, complaints: Sequence[Complaint], now: datetime) -> Sequence[tuple[str, datetime]]:
        """Gather these, but for those that a mail has told already, and say which digests are due when."""
        ...

    def claim(self, digest: str, now: datetime) -> Digest | None:
        """Take a digest that is due; None when it isn't. It is due again later by itself, should nobody say how it
        went."""
        ...

    def sent(self, digest: Digest, now: datetime) -> datetime | None:
        """It was sent. When the next is due, if more has gathered meanwhile."""
        ...

    def again(self, digest: Digest, at: datetime, reason: str) -> None:
        """It couldn't be sent; it is due again at `at`."""
        ...

    def drop(self, digest: Digest, now: datetime, reason: str = "") -> None:
        """It is not to be sent, for this reason."""
        ...

    def due(self, now: datetime) -> Sequence[str]:
        """Ids of those that are due and have no job."""
        ...


class MailLookup(Protocol):
    """What the read models say about mailboxes, as of `at_least` or later. Raises RetryLater."""

    def mailboxes(self, *, at_least: int) -> Sequence[Mailbox]:
        """Those of all people who may come in and want mail."""
        ...

    def audiences(self, requests: Sequence[TransferRequested], *, at_least: int) -> Mapping[str, Audience]:
        """Who may see these transfers, by their ids."""
        ...
