"""Whom a webhook is told of what for (row S58)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from adapters.event_store.memory import MemoryEventLog
from application.permissions import Audience, Principal
from application.policies.notify_webhooks import NotifyWebhooks
from application.ports.webhooks import Delivery, Subscriber
from domain.event import Event
from domain.transfer_events import TransferCheckpointed, TransferFailed, TransferHeld, TransferRequested
from domain.webhooks import Interest
from tests.fakes.clock import StillClock
from tests.fakes.samples import completed, record, started, transfer_requested
from tests.unit.policies.running import replay, run

ANA = Principal("ana")


class Book:
    """The part of a DeliveryBook that the policy needs."""

    def __init__(self) -> None:
        self.deliveries: dict[str, Delivery] = {}
        self.nudged: list[str] = []

    def add(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        for delivery in deliveries:
            assert self.deliveries.setdefault(delivery.id, delivery) == delivery

    def nudge_notices(self, notices: Sequence[tuple[str, datetime | None]]) -> None:
        self.nudged += [name for name, at in notices if at is None]


class Lookup:
    """These subscribers; the audience is the owner and the members of P1."""

    def __init__(self, *subscribers: Subscriber) -> None:
        self._subscribers = subscribers
        self.asked: list[int] = []

    def subscribers(self, *, at_least: int) -> Sequence[Subscriber]:
        self.asked.append(at_least)
        return self._subscribers

    def webhooks_of(self, owner: str) -> Sequence[str]:
        return [one.webhook for one in self._subscribers if one.owner.username == owner]

    def audiences(self, requests: Sequence[TransferRequested], *, at_least: int) -> Mapping[str, Audience]:
        return {one.id: Audience(frozenset({one.owner}), "P1") for one in requests}


def hook(
    name: str, owner: Principal = ANA, *interests: Interest, storage_config: str = "", since: int = 0
) -> Subscriber:
    return Subscriber(
        webhook=name, owner=owner, interests=interests or ("state",), storage_config=storage_config, since=since
    )


def told(*subscribers: Subscriber) -> dict[str, list[int]]:
    """Positions by webhook. The log has positions 1 to 6 of ana's transfer to `a`, and 7 to `b`."""
    log, book = MemoryEventLog(), Book()
    events: list[Event] = [
        msgspec.structs.replace(transfer_requested(7, "a"), owner="ana"),
        started(),
        TransferCheckpointed(attempt=1, bytes_sent=1),
        TransferHeld(reason="It is full."),
        TransferFailed(attempt=1, reason="There is no bucket.", error="GiveUp"),
        completed(),
    ]
    for event in events:
        record(log, "transfer:v7-a", event)
    record(log, "transfer:v8-b", msgspec.structs.replace(transfer_requested(8, "b"), owner="ana"))
    policy = NotifyWebhooks(log, Lookup(*subscribers), book, book, StillClock())  # type: ignore[arg-type]
    assert run(policy, log) == []
    assert book.nudged == list(book.deliveries)
    before = dict(book.deliveries)
    assert replay(policy, log) == []
    assert book.deliveries == before, "an event that is seen again is no other delivery"
    found: dict[str, list[int]] = {}
    for delivery in before.values():
        body = msgspec.json.decode(delivery.body)
        assert (body["delivery"], body["webhook"]) == (delivery.id, delivery.webhook)
        assert body["news"]["position"] == delivery.position
        assert body["news"]["event"] == delivery.event
        found.setdefault(delivery.webhook, []).append(delivery.position)
    return found


def test_s58_a_webhook_is_told_what_its_owner_may_see() -> None:
    ben, eve = Principal("ben", proposals=("P1",)), Principal("eve", proposals=("P2",))
    root = Principal("root", is_superuser=True)
    found = told(hook("ana"), hook("ben", ben), hook("eve", eve), hook("root", root))
    assert found == {name: [1, 2, 4, 5, 6, 7] for name in ("ana", "ben", "root")}


def test_s58_a_webhook_is_told_what_it_is_interested_in() -> None:
    assert told(hook("p", ANA, "progress"), hook("f", ANA, "failure"), hook("pf", ANA, "progress", "failure")) == {
        "p": [3], "f": [4, 5], "pf": [3, 4, 5],
    }  # fmt: skip


def test_s58_a_webhook_of_one_destination_hears_of_no_other() -> None:
    assert told(hook("b", storage_config="b")) == {"b": [7]}


def test_s58_nothing_is_told_that_happened_before_the_webhook() -> None:
    assert told(hook("late", since=5), hook("never", since=7)) == {"late": [6, 7]}


def test_s58_without_webhooks_nothing_is_looked_up() -> None:
    assert told() == {}
