"""The vault, the broker, the receivers of webhooks, and what is remembered of deliveries to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from application.permissions import Audience, Principal
from application.ports.broker import Message
from application.ports.webhooks import Delivery, Subscriber
from domain.errors import RetryLater
from domain.transfer_events import TransferRequested
from tests.simulation.faults import Wire

LEASE = timedelta(seconds=45)


class SimVault:
    """Implements Vault for one process."""

    def __init__(self, sealed: dict[str, dict[str, str]], wire: Wire) -> None:
        self._sealed, self._wire = sealed, wire

    def put(self, owner: str, secrets: Mapping[str, str]) -> int:
        """See Vault.put."""

        def put() -> int:
            self._sealed.setdefault(owner, {}).update(secrets)
            return 1

        return self._wire.call("vault", f"seal {owner} {' '.join(secrets)}", put)

    def put_each(self, secrets: Mapping[str, Mapping[str, str]]) -> None:
        """See Vault.put_each."""

        def put() -> None:
            for owner, theirs in secrets.items():
                self._sealed.setdefault(owner, {}).update(theirs)

        if secrets:
            self._wire.call("vault", f"seal {' '.join(secrets)}", put)

    def get(self, owner: str) -> dict[str, str]:
        """See Vault.get."""
        return self._wire.call("vault", f"unseal {owner}", lambda: dict(self._sealed.get(owner, {})))

    def take(self, owner: str) -> dict[str, str]:
        """See Vault.take."""
        return self._wire.call("vault", f"take {owner}", lambda: self._sealed.pop(owner, {}))

    def names(self, owner: str) -> frozenset[str]:
        """See Vault.names."""
        return self._wire.call("vault", f"names {owner}", lambda: frozenset(self._sealed.get(owner, ())))

    def shred(self, owner: str) -> None:
        """See Vault.shred."""

        def shred() -> None:
            self._sealed.pop(owner, None)

        self._wire.call("vault", f"shred {owner}", shred)

    def shred_each(self, owners: Collection[str]) -> None:
        """See Vault.shred_each."""

        def shred() -> None:
            for owner in owners:
                self._sealed.pop(owner, None)

        if owners:
            self._wire.call("vault", f"shred {' '.join(owners)}", shred)

    def owners(self, prefix: str) -> Sequence[str]:
        """See Vault.owners."""
        return self._wire.call(
            "vault", f"owners {prefix}", lambda: [one for one in self._sealed if one.startswith(prefix)]
        )


class Listeners:
    """What others have heard."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.broker_away = False
        self.posted: dict[str, int] = {}
        self.receiver_away = False


class SimBroker:
    """Implements Broker for one process."""

    def __init__(self, listeners: Listeners, wire: Wire) -> None:
        self._listeners, self._wire = listeners, wire

    def publish(self, messages: Sequence[Message]) -> int:
        """See Broker.publish."""

        def publish(kind: str = "") -> int:
            if self._listeners.broker_away:
                raise RetryLater("The broker can't be reached.", retry_after=5.0)
            confirmed = (len(messages) + 1) // 2 if kind == "part" else len(messages)
            arrived = min(len(messages), confirmed + len(self._listeners.messages) % 2)
            self._listeners.messages += messages[:arrived]
            return confirmed

        return self._wire.call("broker", f"publish {' '.join(one.id for one in messages)}", publish, publish)


class Noted(msgspec.Struct):
    """A delivery in the book."""

    delivery: Delivery
    due: datetime
    status: str = "waiting"


class SimBook:
    """Implements DeliveryBook for one process, by the rules of adapters/webhooks/book.py."""

    def __init__(self, noted: dict[str, Noted], queued: list[tuple[int, str]], wire: Wire) -> None:
        self._noted, self._queued, self._wire = noted, queued, wire

    def add(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """See DeliveryBook.add."""

        def add() -> None:
            for one in deliveries:
                self._noted.setdefault(one.id, Noted(one, now))

        self._wire.call("jobs", f"note {' '.join(one.id for one in deliveries)}", add)

    def claim(self, delivery: str, now: datetime) -> Delivery | None:
        """See DeliveryBook.claim."""

        def claim() -> Delivery | None:
            one = self._noted.get(delivery)
            if one is None or one.status != "waiting" or one.due > now:
                return None
            one.due = now + LEASE
            one.delivery = msgspec.structs.replace(one.delivery, attempts=one.delivery.attempts + 1)
            return one.delivery

        return self._wire.call("jobs", f"claim {delivery}", claim)

    def done(self, delivery: str, now: datetime, status: int) -> None:
        """See DeliveryBook.done."""
        self._wire.call("jobs", f"done {delivery}", lambda: self._end(delivery, "delivered"))

    def again(self, delivery: str, at: datetime, status: int | None, reason: str) -> None:
        """See DeliveryBook.again."""

        def again() -> None:
            if self._noted[delivery].status == "waiting":
                self._noted[delivery].due = at

        self._wire.call("jobs", f"again {delivery}", again)

    def give_up(self, delivery: str, now: datetime, status: int | None, reason: str) -> None:
        """See DeliveryBook.give_up."""
        self._wire.call("jobs", f"give up {delivery}", lambda: self._end(delivery, "failed"))

    def due(self, now: datetime) -> Sequence[str]:
        """See DeliveryBook.due."""

        def due() -> list[str]:
            queued = {name for _, name in self._queued}
            return [
                name
                for name, one in self._noted.items()
                if one.status == "waiting" and one.due <= now and name not in queued
            ]

        return self._wire.call("lookup", "notices due", due)

    def forget(self, before: datetime) -> int:
        """Nothing is old here."""
        return 0

    def _end(self, delivery: str, ending: str) -> None:
        if self._noted[delivery].status == "waiting":
            self._noted[delivery].status = ending


class SimSender:
    """Implements WebhookSender for one process."""

    def __init__(self, listeners: Listeners, wire: Wire) -> None:
        self._listeners, self._wire = listeners, wire

    def check(self, url: str) -> str:
        """Any will do."""
        return "receiver"

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """See WebhookSender.send."""

        def send(kind: str = "") -> int:
            if self._listeners.receiver_away:
                raise RetryLater("The receiver can't be reached.")
            if kind == "500":
                return 500
            delivery = str(msgspec.json.decode(body)["delivery"])
            self._listeners.posted[delivery] = self._listeners.posted.get(delivery, 0) + 1
            return 200

        return self._wire.call("receiver", "post", send, send)


class SimSubscribers:
    """Implements WebhookLookup: one webhook of somebody who may see everything, from the beginning."""

    def __init__(self, webhook: str) -> None:
        self._webhook = webhook

    def subscribers(self, *, at_least: int) -> Sequence[Subscriber]:
        """See WebhookLookup."""
        owner = Principal("root", is_superuser=True)
        hook = self._webhook
        return [Subscriber(webhook=hook, owner=owner, interests=("state",), storage_config="", since=0)]

    def webhooks_of(self, owner: str) -> Sequence[str]:
        """Not asked for here."""
        return ()

    def audiences(self, requests: Sequence[TransferRequested], *, at_least: int) -> Mapping[str, Audience]:
        """See WebhookLookup."""
        return {request.id: Audience(names=frozenset({request.owner})) for request in requests}
