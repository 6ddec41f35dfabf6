"""Connections to the broker, and what their faults mean."""

from __future__ import annotations

import amqp
import kombu
import kombu.exceptions

from domain.errors import RetryLater

FAULTS = (amqp.AMQPError, kombu.exceptions.KombuError, OSError)
"""All that a broker and the way to it can do to us."""

CONNECT_SECONDS = 5.0
WRITE_SECONDS = 30.0
"""A broker that is short of memory stops reading; longer than this we don't stand by."""


def connect(url: str, name: str) -> kombu.Connection:
    """An open connection, which the broker's operator sees as `name`. Raises RetryLater.

    Without heartbeats: a thread that copies a large file couldn't send them. The sockets are kept alive by TCP.
    """
    connection = kombu.Connection(
        url,
        connect_timeout=CONNECT_SECONDS,
        heartbeat=0,
        transport_options={
            "write_timeout": WRITE_SECONDS,
            "client_properties": {"connection_name": name, "product": "Starferry"},
        },
    )
    try:
        return connection.ensure_connection(
            max_retries=1, interval_start=0, interval_step=0, reraise_as_library_errors=False
        )
    except FAULTS as error:
        connection.release()
        raise classify(error, url) from error


def classify(error: Exception, url: str) -> RetryLater:
    """The one place where a fault of the broker becomes an error of ours. None of them is for ever: an operator can
    mend a right or a queue while we wait, and no message may be lost by then."""
    where = place(url)
    match error:
        case amqp.AccessRefused() | amqp.NotAllowed():
            return RetryLater(
                f"The message broker at {where} refuses us: check user, password, virtual host and rights."
            )
        case amqp.PreconditionFailed():
            return RetryLater(
                f"The message broker at {where} has an exchange or queue of that name with other properties; "
                "remove it, or set another name."
            )
        case TimeoutError():
            return RetryLater(f"The message broker at {where} doesn't answer in time.")
        case amqp.ChannelError() | kombu.exceptions.KombuError():
            return RetryLater(f"The message broker at {where} refused a message ({type(error).__name__}).")
        case _:
            return RetryLater(f"The message broker at {where} can't be reached.")


def place(url: str) -> str:
    """Host and port of a broker's address, without user and password."""
    parts = kombu.Connection(url)
    return f"{parts.hostname}:{parts.port or parts.transport.default_port}"
