"""What sends webhooks, what remembers what is to be sent, and who is to be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from application.permissions import Audience, Principal
from domain.transfer_events import TransferRequested
from domain.webhooks import Interest


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook, with the rights that its owner has now. It hears of what comes after `since` in the log."""

    webhook: str
    owner: Principal
    interests: tuple[Interest, ...]
    storage_config: str
    since: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message for one webhook. `id` follows from webhook and event, so that nothing is noted twice; `attempts`
    counts the present one."""

    id: str
    webhook: str
    position: int
    event: str
    body: bytes
    attempts: int = 0


class WebhookSender(Protocol):
    """Posts to addresses that users chose, and to no others of this network than the operator allows."""

    def check(self, url: str) -> str:
        """The host of an address that may be used. Raises InvalidInput with what is wrong with it."""
        ...

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer, whose content nobody sees; redirects aren't followed. Raises RetryLater when
        nobody answered, GiveUp when the host's addresses may not be reached."""
        ...


class DeliveryBook(Protocol):
    """Remembers deliveries until they are made, and for some time after. Every method may raise RetryLater."""

    def add(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """Note these, due at once; those that are noted already stay as they are."""
        ...

    def claim(self, delivery: str, now: datetime) -> Delivery | None:
        """Take a delivery that is due, and count an attempt; None when it isn't due. It is due again later by itself,
        should nobody say how it went."""
        ...

    def done(self, delivery: str, now: datetime, status: int) -> None:
        """It was taken in."""
        ...

    def again(self, delivery: str, at: datetime, status: int | None, reason: str) -> None:
        """The attempt failed; the next is due at `at`."""
        ...

    def give_up(self, delivery: str, now: datetime, status: int | None, reason: str) -> None:
        """No further attempt is made."""
        ...

    def due(self, now: datetime) -> Sequence[str]:
        """Ids of those that are due and have no job, the oldest thousand."""
        ...

    def forget(self, before: datetime) -> int:
        """Drop what was done or given up before then, and say how many that were."""
        ...


class NoticeJobs(Protocol):
    """Tells workers that something is to be sent. A lost or doubled nudge does no harm."""

    def nudge_notices(self, notices: Sequence[tuple[str, datetime | None]]) -> None:
        """Ask for each to be looked at, now or at the time given (UTC)."""
        ...


class WebhookLookup(Protocol):
    """What the read models say about webhooks, as of `at_least` or later. Raises RetryLater."""

    def subscribers(self, *, at_least: int) -> Sequence[Subscriber]:
        """All webhooks of people who may come in."""
        ...

    def webhooks_of(self, owner: str) -> Sequence[str]:
        """Ids of somebody's webhooks."""
        ...

    def audiences(self, requests: Sequence[TransferRequested], *, at_least: int) -> Mapping[str, Audience]:
        """Who may see these transfers, by their ids."""
        ...
