"""NotifyWebhooks: what happens to a transfer is noted for every webhook whose owner may see it, and workers send it.

A webhook hears of what comes after it in the log, so the first start on an old log tells nobody anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.webhooks import Delivery, DeliveryBook, NoticeJobs, Subscriber, WebhookLookup
from application.transfer_news import TOPICS, News, news_of
from application.transfer_requests import requests_of
from application.webhook_message import body_of, wants
from domain.event import Recorded


class NotifyWebhooks:
    """See the module."""

    name = "NotifyWebhooks"
    topics = TOPICS

    def __init__(
        self, log: EventLog, lookup: WebhookLookup, book: DeliveryBook, jobs: NoticeJobs, clock: Clock
    ) -> None:
        self._log = log
        self._lookup = lookup
        self._book = book
        self._jobs = jobs
        self._clock = clock

    def act(self, batch: Sequence[Recorded]) -> None:
        """See Effect.act."""
        upto = batch[-1].position
        subscribers = self._lookup.subscribers(at_least=upto)
        since = min((one.since for one in subscribers), default=upto)
        recent = [recorded for recorded in batch if recorded.position > since]
        if not recent:
            return
        requests = requests_of(self._log, recent)
        audiences = self._lookup.audiences(list(requests.values()), at_least=upto)
        deliveries = []
        for recorded in recent:
            news = news_of(recorded, requests[recorded.stream])
            audience = audiences[news.transfer]
            deliveries += [
                _delivery(one, news) for one in subscribers if _hears(one, news) and audience.includes(one.owner)
            ]
        if deliveries:
            self._book.add(deliveries, self._clock.now())
            self._jobs.nudge_notices([(delivery.id, None) for delivery in deliveries])


def _hears(subscriber: Subscriber, news: News) -> bool:
    chosen = subscriber.storage_config in ("", news.storage_config)
    return chosen and news.position > subscriber.since and wants(subscriber.interests, news)


def _delivery(subscriber: Subscriber, news: News) -> Delivery:
    body = body_of(subscriber.webhook, news)
    return Delivery(
        id=body.delivery,
        webhook=subscriber.webhook,
        position=news.position,
        event=news.event,
        body=msgspec.json.encode(body),
    )
