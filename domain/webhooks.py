"""The Webhook aggregate: an address of a user's that is told what happens to the transfers that they may see.

The address and the key that signs are kept sealed, outside the log: addresses of this kind often hold a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import msgspec

from domain.errors import InvalidInput, NotAllowedNow
from domain.event import Event, Recorded

Interest = Literal["state", "progress", "failure"]
"""Changes of state; confirmed bytes; only what failed or waits for its destination."""
NAME_LENGTH = 200
MOST = 20
"""Webhooks of one user: each is sent every event again."""


class WebhookCreated(Event, frozen=True, kw_only=True):
    """A user wants to be told at `host`; of one destination's transfers alone, where `storage_config` names one."""

    topic: ClassVar[str] = "webhook.created"
    id: str
    owner: str
    name: str
    host: str
    interests: tuple[Interest, ...]
    storage_config: str = ""


class WebhookDeleted(Event, frozen=True, kw_only=True):
    """Nothing is sent there any more; its secrets were destroyed."""

    topic: ClassVar[str] = "webhook.deleted"


class Webhook(msgspec.Struct, frozen=True):
    """What commands and senders need to know of a webhook."""

    id: str = ""
    owner: str = ""
    name: str = ""
    host: str = ""
    interests: tuple[Interest, ...] = ()
    storage_config: str = ""
    deleted: bool = False
    stream_version: int = 0

    @property
    def there(self) -> bool:
        """Whether it is told of anything."""
        return bool(self.id) and not self.deleted


def stream_of(webhook: str) -> str:
    """The stream of a webhook."""
    return f"webhook:{webhook}"


def evolve(webhook: Webhook, recorded: Recorded) -> Webhook:
    """The webhook after one more of its events."""
    replace = msgspec.structs.replace
    webhook = replace(webhook, stream_version=recorded.version)
    match recorded.event:
        case WebhookCreated() as event:
            return replace(
                webhook,
                id=event.id,
                owner=event.owner,
                name=event.name,
                host=event.host,
                interests=event.interests,
                storage_config=event.storage_config,
            )
        case WebhookDeleted():
            return replace(webhook, deleted=True)
        case _:
            return webhook


def fold(history: Iterable[Recorded]) -> Webhook:
    """The webhook that a stream tells of."""
    webhook = Webhook()
    for recorded in history:
        webhook = evolve(webhook, recorded)
    return webhook


def create(webhook: Webhook, created: WebhookCreated, count: int) -> tuple[Event, ...]:
    """Decide on a new webhook of somebody who has `count` already. Raises InvalidInput, and NotAllowedNow for an id
    that is taken."""
    if webhook.id:
        raise NotAllowedNow(f"There is a webhook {created.id} already.")
    if not 1 <= len(created.name) <= NAME_LENGTH:
        raise InvalidInput(f"The name has 1 to {NAME_LENGTH} characters.", field="name")
    if not created.interests:
        raise InvalidInput("Say what the webhook is to be told of.", field="interests")
    if count >= MOST:
        raise InvalidInput(f"You have {MOST} webhooks already; delete one first.")
    return (created,)


def delete(webhook: Webhook) -> tuple[Event, ...]:
    """Decide on deletion; deleting twice changes nothing."""
    return () if webhook.deleted else (WebhookDeleted(),)
