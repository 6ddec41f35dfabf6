"""Sends what the book of deliveries holds: each at least once, by a schedule, given up where its owner sees it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.vault import Vault
from application.ports.webhooks import Delivery, DeliveryBook, NoticeJobs, WebhookSender
from application.webhook_message import WebhookBody, headers_of
from domain import webhooks
from domain.errors import GiveUp, RetryLater
from domain.webhooks import Webhook

logger = structlog.get_logger()

KEPT = timedelta(days=30)
"""How long owners can look at what was sent."""
GONE = 410
"""What a receiver says that never wants to hear of it again (RFC 9110, 15.5.11)."""


class TestOutcome(msgspec.Struct, frozen=True):
    """What came of a test: the status of the answer where there was one, and a reason where it wasn't taken in."""

    ok: bool
    status: int | None
    reason: str


class WebhookPost(msgspec.Struct, frozen=True, kw_only=True):
    """What sending needs; `schedule` are the seconds to wait after each failure but the last."""

    log: EventLog
    vault: Vault
    book: DeliveryBook
    sender: WebhookSender
    jobs: NoticeJobs
    clock: Clock
    schedule: Sequence[float]

    def deliver(self, delivery_id: str) -> None:
        """Send a delivery if it is due. Raises RetryLater when the database can't be reached: it is due again then."""
        now = self.clock.now()
        delivery = self.book.claim(delivery_id, now)
        if delivery is None:
            return
        webhook = webhooks.fold(self.log.load(webhooks.stream_of(delivery.webhook)))
        if not webhook.there:
            self.book.give_up(delivery.id, now, None, "The webhook was deleted.")
            return
        status, reason, final = self._attempt(webhook, delivery.id, delivery.body, now)
        if not reason and status is not None:
            self.book.done(delivery.id, self.clock.now(), status)
        else:
            self._failed(delivery, status, reason, final)

    def test(self, webhook: Webhook) -> TestOutcome:
        """Send a message without news, once."""
        now = self.clock.now()
        delivery = f"{webhook.id}.test"
        body = msgspec.json.encode(WebhookBody(delivery=delivery, webhook=webhook.id, news=None))
        status, reason, _ = self._attempt(webhook, delivery, body, now)
        return TestOutcome(not reason, status, reason)

    def sweep(self) -> int:
        """Nudge for what is due and has no job, and forget what is old. Returns how many were nudged."""
        now = self.clock.now()
        due = self.book.due(now)
        if due:
            self.jobs.nudge_notices([(delivery, None) for delivery in due])
        self.book.forget(now - KEPT)
        return len(due)

    def _attempt(self, webhook: Webhook, delivery: str, body: bytes, now: datetime) -> tuple[int | None, str, bool]:
        """Status, reason of a failure, and whether it is final."""
        secrets = self.vault.get(webhook.id)
        if not secrets:
            return None, "The webhook was deleted.", True
        headers = headers_of(secrets["secret"], delivery, int(now.timestamp()), body)
        try:
            status = self.sender.send(secrets["url"], headers, body)
        except GiveUp as error:
            return None, str(error), True
        except RetryLater as error:
            return None, str(error), False
        if 200 <= status < 300:
            return status, "", False
        redirected = " Redirects aren't followed." if 300 <= status < 400 else ""
        return status, f"The receiver answered with status {status}.{redirected}", status == GONE

    def _failed(self, delivery: Delivery, status: int | None, reason: str, final: bool) -> None:
        now = self.clock.now()
        if final or delivery.attempts > len(self.schedule):
            logger.warning("a webhook's delivery was given up", delivery=delivery.id, status=status)
            self.book.give_up(delivery.id, now, status, reason)
            return
        at = now + timedelta(seconds=self.schedule[delivery.attempts - 1])
        self.book.again(delivery.id, at, status, reason)
        self.jobs.nudge_notices([(delivery.id, at)])
