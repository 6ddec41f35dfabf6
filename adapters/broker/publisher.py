"""Publishes to a durable fanout exchange; reconnects by itself."""

from __future__ import annotations

from collections.abc import Sequence

import kombu

from adapters.broker.confirmed_channel import ConfirmedChannel
from adapters.broker.connections import FAULTS, classify, connect
from application.ports.broker import Message
from domain.errors import RetryLater

LONGEST_WAIT = 15.0


class ExchangePublisher:
    """Implements Broker. The exchange is durable, fanout, and not deleted with its last queue."""

    def __init__(self, url: str, exchange: str) -> None:
        self._url = url
        self._exchange = exchange
        self._connection: kombu.Connection | None = None
        self._failures = 0

    def publish(self, messages: Sequence[Message]) -> int:
        """See Broker.publish."""
        if not messages:
            return 0
        was_open = self._connection is not None
        try:
            try:
                confirmed = self._send(messages)
            except RetryLater:
                if not was_open:
                    raise
                confirmed = self._send(messages)  # a quiet night's connection may be stale though the broker is well
        except RetryLater as error:
            wait = min(LONGEST_WAIT, 2.0**self._failures)
            self._failures += 1
            raise RetryLater(str(error), retry_after=wait) from error
        self._failures = 0
        return confirmed

    def close(self) -> None:
        """End the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def _send(self, messages: Sequence[Message]) -> int:
        connection = self._connected()
        confirmed = 0
        try:
            exchange = kombu.Exchange(self._exchange, type="fanout", durable=True, auto_delete=False)
            exchange(connection.default_channel).declare()
            channel = ConfirmedChannel(connection)
            try:
                for message in messages:
                    channel.send(message.body, exchange=self._exchange, message_id=message.id)
                channel.settle()
            finally:
                confirmed = channel.confirmed
            channel.close()
        except FAULTS as error:
            self.close()
            if not confirmed:
                raise classify(error, self._url) from error
        return confirmed

    def _connected(self) -> kombu.Connection:
        if self._connection is None:
            self._connection = connect(self._url, "starferry archived_fits")
        return self._connection
