"""Follows the log: woken by NOTIFY, and by the clock in case a notification is lost."""

from __future__ import annotations

import threading
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
        self._thread = threading.Thread(target=self._run, name=f"listen-{channel}", daemon=True)

    def on_growth(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, from the listening thread, when there may be something new."""
        self._callbacks.append(callback)

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
            connection.execute(f"LISTEN {self._channel}".encode())
            self._ring()  # for all that came before LISTEN
            while not self._stopping.is_set():
                for _ in connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                    pass
                self._ring()

    def _ring(self) -> None:
        for callback in self._callbacks:
            try:
                callback()
            except Exception:  # one that fails must not end the others' wake-ups
                logger.exception("a follower of the log failed", channel=self._channel)
