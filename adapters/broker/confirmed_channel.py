"""A channel on which the broker confirms what it has taken into its keeping (RabbitMQ's publisher confirms)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import amqp
import kombu

CONFIRM_SECONDS = 30.0
PERSISTENT = 2


class ConfirmedChannel:
    """Sends, and tells what was confirmed. Many messages may be under way: one that waited for each confirmation would
    pay a disk sync for each. Used by one thread."""

    def __init__(self, connection: kombu.Connection) -> None:
        self._connection = connection
        self._channel = connection.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._acked)
        self._channel.events["basic_nack"].add(self._nacked)
        self._channel.events["basic_return"].add(self._returned)
        self._producer = kombu.Producer(self._channel, auto_declare=False)
        self._sent = 0
        self._unconfirmed: set[int] = set()
        self._refused: Exception | None = None

    def send(
        self,
        body: bytes,
        *,
        exchange: str = "",
        routing_key: str = "",
        message_id: str | None = None,
        headers: Mapping[str, Any] | None = None,
        mandatory: bool = False,
    ) -> None:
        """Hand a persistent JSON message to the network. With `mandatory` it must reach a queue."""
        self._sent += 1
        self._unconfirmed.add(self._sent)
        self._producer.publish(
            body,
            exchange=exchange,
            routing_key=routing_key,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=PERSISTENT,
            headers=dict(headers or {}),
            mandatory=mandatory,
            **({"message_id": message_id} if message_id else {}),
        )

    def settle(self) -> None:
        """Wait until all that was sent is confirmed. Raises TimeoutError, and amqp.AMQPError when the broker refused
        one or is gone."""
        deadline = time.monotonic() + CONFIRM_SECONDS
        while self._unconfirmed and not self._refused:
            self._connection.drain_events(timeout=max(0.01, deadline - time.monotonic()))
        if self._refused:
            raise self._refused

    def close(self) -> None:
        """Give the channel back; nothing is waited for."""
        self._channel.close()

    @property
    def confirmed(self) -> int:
        """How many, from the first on, are confirmed."""
        return min(self._unconfirmed, default=self._sent + 1) - 1

    def _acked(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._unconfirmed = {sent for sent in self._unconfirmed if sent > tag}
        else:
            self._unconfirmed.discard(tag)

    def _nacked(self, tag: int, multiple: bool) -> None:  # noqa: ARG002
        self._refused = amqp.ResourceError("a queue is full or failed")

    def _returned(self, error: Exception, *_: Any) -> None:
        self._refused = error
