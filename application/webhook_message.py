"""What a webhook gets: a JSON body, its signature, and what a receiver needs to tell repetitions apart."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import msgspec

from application.transfer_news import News
from domain.webhooks import Interest

DELIVERY_HEADER = "Starferry-Delivery"
TIMESTAMP_HEADER = "Starferry-Timestamp"
SIGNATURE_HEADER = "Starferry-Signature"


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body. `delivery` stays the same however often it is sent; `news` is null in a test."""

    delivery: str
    webhook: str
    news: News | None


def wants(interests: tuple[Interest, ...], news: News) -> bool:
    """Whether somebody with these interests is to be told."""
    return news.kind in interests or ("failure" in interests and news.is_failure)


def body_of(webhook: str, news: News) -> WebhookBody:
    """The body for one webhook."""
    return WebhookBody(delivery=f"{webhook}.{news.position}", webhook=webhook, news=news)


def headers_of(secret: str, delivery: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """The headers of a message that is sent at `timestamp` (seconds since 1970, UTC)."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "Starferry",
        DELIVERY_HEADER: delivery,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: f"sha256={signature(secret, timestamp, body)}",
    }


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Hexadecimal HMAC-SHA256 (RFC 2104), under the secret as text, of timestamp, full stop, and body."""
    return hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()
