"""Follows the log: woken by NOTIFY, and by the clock in case a notification is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg
import structlog

logger = structlog.get_logger()

POLL_SECONDS = 1.0
CONNECT_SECONDS = 5


class Wakeup:
    """Calls back whenever the log grows, and at least every few seconds. Reconnects for ever.

    The library's subscription can lose the wake-up between its first read and LISTEN, never polls, and ends with its
    connection; this does none of these.
    """

    def __init__(self, conninfo: str, *, channel: str = "starferry_events") -> None:
        self._conninfo = conninfo
        self._channel = channel
        self._stopping = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._messages: dict[str, Callable[[str], None]] = {}
        self._rung = 0.0
        self._thread = threading.Thread(target=self._run, name=f"listen-{channel}", daemon=True)

    def on_growth(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, from the listening thread, when there may be something new."""
        self._callbacks.append(callback)

    def on_message(self, channel: str, callback: Callable[[str], None]) -> None:
        """Have `callback` called, from the listening thread, with what is said on another channel. What is said while
        the connection is lost is lost with it."""
        self._messages[channel] = callback

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End within a poll; the connection is closed then."""
        self._stopping.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(POLL_SECONDS + CONNECT_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except psycopg.Error:
                logger.warning("listening connection lost, reconnecting", channel=self._channel)
                self._ring()
                self._stopping.wait(POLL_SECONDS)

    def _listen(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            for channel in (self._channel, *self._messages):
                connection.execute(f"LISTEN {channel}".encode())
            self._ring()  # for all that came before LISTEN
            while not self._stopping.is_set():
                said = list(connection.notifies(timeout=POLL_SECONDS, stop_after=1))
                messages = [one for one in said if one.channel in self._messages]
                for message in messages:
                    self._hear(message.channel, message.payload)
                if not messages or len(messages) < len(said) or self._is_late():
                    self._ring()

    def _is_late(self) -> bool:
        return time.monotonic() - self._rung >= POLL_SECONDS

    def _hear(self, channel: str, payload: str) -> None:
        try:
            self._messages[channel](payload)
        except Exception:
            logger.exception("a message was not understood", channel=channel)

    def _ring(self) -> None:
        self._rung = time.monotonic()
        for callback in self._callbacks:
            try:
                callback()
            except Exception:  # one that fails must not end the others' wake-ups
                logger.exception("a follower of the log failed", channel=self._channel)
