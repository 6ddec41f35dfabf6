"""The queue of files to ingest, its queues of waits, and its dead letters.

`<queue>` holds messages to be handled, `<queue>.retry.<ms>ms` those that wait (they go back by themselves when their
time is over), `<queue>.dead` those that a person must look at. A message leaves a queue only after the broker has
confirmed it in the next one, so a crash can double it but never lose it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import amqp
import kombu

from adapters.broker.confirmed_channel import ConfirmedChannel
from adapters.broker.connections import FAULTS, classify, connect
from domain.errors import RetryLater

TRIES, REASON = "x-starferry-tries", "x-starferry-reason"
POLL_SECONDS = 1.0


class Delivery:
    """A message at hand. Exactly one of `done`, `again` and `dead` ends it."""

    def __init__(self, queue: IngestQueue, message: kombu.Message) -> None:
        self._queue = queue
        self._message = message
        body = message.body
        self.body: bytes = body.encode() if isinstance(body, str) else bytes(body)
        tries = message.headers.get(TRIES, 0)
        self.tries: int = tries if isinstance(tries, int) else 0

    def done(self) -> None:
        """It has been handled."""
        with self._queue.reaching():
            self._message.ack()

    def again(self, seconds: float, reason: str) -> None:
        """Have it come back after so many seconds, counted as one try more."""
        waits = self._queue.declare_wait(seconds)
        self._queue.send(waits, self.body, {TRIES: self.tries + 1, REASON: reason})
        self.done()

    def dead(self, reason: str) -> None:
        """Put it where a person looks."""
        self._queue.send(self._queue.declare_dead(), self.body, {TRIES: self.tries, REASON: reason})
        self.done()


class IngestQueue:
    """One connection to the queue, for one thread. Every method raises RetryLater when the broker is away; the
    connection is of no use then."""

    def __init__(self, url: str, queue: str, exchange: str = "") -> None:
        self._url, self._name, self._exchange = url, queue, exchange
        self._connection = connect(url, f"starferry listen {queue}")
        try:
            self._declare(queue, {})
            with self.reaching():
                if exchange:
                    channel = self._connection.default_channel
                    kombu.Exchange(exchange, "fanout", durable=True)(channel).declare()
                    channel.queue_bind(queue, exchange)
                self._outgoing = ConfirmedChannel(self._connection)
        except RetryLater:
            self.close()
            raise

    def close(self) -> None:
        """Give the connection back; what is at hand goes to others."""
        self._connection.release()

    def consume(self, handle: Callable[[Delivery], None], stopping: Callable[[], bool]) -> None:
        """Hand out messages, one at a time, until `stopping`."""
        with self.reaching():
            channel = self._connection.channel()
            channel.basic_qos(0, 1, False)
            consumer = kombu.Consumer(
                channel,
                [kombu.Queue(self._name, no_declare=True)],
                on_message=lambda message: handle(Delivery(self, message)),
                auto_declare=False,
            )
            consumer.consume()
            while not stopping():
                try:
                    self._connection.drain_events(timeout=POLL_SECONDS)
                except TimeoutError:
                    continue
            channel.close()

    def replay_dead(self) -> int:
        """Put the messages that are dead letters now back into the queue, as if they were new; how many there were."""
        moved = 0
        with self.reaching():
            channel = self._connection.channel()
            dead = self.declare_dead()
            for _ in range(channel.queue_declare(dead, passive=True).message_count):
                message = channel.basic_get(dead, no_ack=False)
                if message is None:
                    break
                body = message.body
                self.send(self._name, body.encode() if isinstance(body, str) else bytes(body), {})
                message.channel.basic_ack(message.delivery_tag)
                moved += 1
        return moved

    def send(self, queue: str, body: bytes, headers: dict[str, object]) -> None:
        """Put a message into a queue; the broker has confirmed it when this returns."""
        with self.reaching():
            self._outgoing.send(body, routing_key=queue, headers=headers, mandatory=True)
            self._outgoing.settle()

    def declare_dead(self) -> str:
        """The queue of dead letters, which exists."""
        return self._declare(f"{self._name}.dead", {})

    def declare_wait(self, seconds: float) -> str:
        """The queue for waits of this length, which exists. All wait equally long there, so none holds up another."""
        milliseconds = max(1, round(seconds * 1000))
        back = {"x-message-ttl": milliseconds, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": self._name}
        return self._declare(f"{self._name}.retry.{milliseconds}ms", back)

    def _declare(self, name: str, arguments: dict[str, object]) -> str:
        """A queue that is there is used as its operator made it."""
        with self.reaching():
            channel = self._connection.channel()
            try:
                channel.queue_declare(name, passive=True)
            except amqp.NotFound:
                channel = self._connection.channel()
                channel.queue_declare(name, durable=True, auto_delete=False, arguments=arguments)
            channel.close()
        return name

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Turn the faults of the broker into RetryLater."""
        try:
            yield
        except FAULTS as error:
            raise classify(error, self._url) from error


def reconnecting(
    open_queue: Callable[[], IngestQueue],
    work: Callable[[IngestQueue], None],
    stopping: Callable[[], bool],
    told: Callable[[str], None],
) -> None:
    """Do `work` on a queue, with a new connection whenever one is lost, until `stopping`. `told` gets the reason, once
    an outage."""
    failures, reason = 0, ""
    while not stopping():
        try:
            queue = open_queue()
            failures, reason = 0, ""
            try:
                work(queue)
            finally:
                queue.close()
        except RetryLater as error:
            if str(error) != reason:
                told(str(error))
            reason = str(error)
            until = time.monotonic() + min(15.0, 2.0**failures)
            failures += 1
            while time.monotonic() < until and not stopping():
                time.sleep(0.1)
