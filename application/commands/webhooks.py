"""Webhooks: created, tested, deleted by their owners; address and key go to the vault and nowhere else."""

from __future__ import annotations

import msgspec

from application.access import access_to_config
from application.permissions import Principal, must_be_known
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.vault import Vault
from application.ports.webhooks import WebhookLookup, WebhookSender
from application.transact import transact
from domain import webhooks
from domain.errors import NotFound
from domain.event import Cause
from domain.webhooks import Interest, Webhook


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody hands in, with the key that is to sign."""

    id: str
    url: str
    secret: str
    name: str
    interests: tuple[Interest, ...]
    storage_config: str = ""


def create_webhook(
    log: EventLog,
    vault: Vault,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    new: NewWebhook,
    sender: WebhookSender,
    lookup: WebhookLookup,
) -> int:
    """Record a webhook of the principal's. Its secrets are stored first: an event that promises them must find them.
    Raises InvalidInput, Unauthenticated, NotFound for a destination that they don't know of, NotAllowedNow for an id
    that is taken."""
    must_be_known(principal)
    if new.storage_config and access_to_config(log, principal, new.storage_config)[1] == "none":
        raise NotFound("There is no such storage configuration.")
    created = webhooks.WebhookCreated(
        id=new.id,
        owner=principal.username,
        name=new.name.strip(),
        host=sender.check(new.url),
        interests=new.interests,
        storage_config=new.storage_config,
    )
    stream = webhooks.stream_of(new.id)
    count = len(lookup.webhooks_of(principal.username))
    webhooks.create(webhooks.fold(log.load(stream)), created, count)
    vault.put(new.id, {"url": new.url, "secret": new.secret})
    return transact(
        log,
        stream,
        lambda history: webhooks.create(webhooks.fold(history), created, count),
        cause=cause,
        now=clock.now(),
    )


def delete_webhook(
    log: EventLog, vault: Vault, clock: Clock, cause: Cause, principal: Principal, webhook_id: str
) -> int:
    """Delete a webhook and destroy its secrets; what waits to be sent there is given up. Raises as manage_webhook."""
    manage_webhook(log, principal, webhook_id)
    position = transact(
        log,
        webhooks.stream_of(webhook_id),
        lambda history: webhooks.delete(webhooks.fold(history)),
        cause=cause,
        now=clock.now(),
    )
    vault.shred(webhook_id)
    return position


def manage_webhook(log: EventLog, principal: Principal, webhook_id: str) -> Webhook:
    """The webhook, for its owner and for superusers. Raises Unauthenticated, NotFound."""
    must_be_known(principal)
    webhook = webhooks.fold(log.load(webhooks.stream_of(webhook_id)))
    if not webhook.there or not (principal.is_superuser or webhook.owner == principal.username):
        raise NotFound("There is no such webhook.")
    return webhook
