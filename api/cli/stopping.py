"""The wish to stop, from a signal or a thread."""

from __future__ import annotations

import contextlib
import os
import select
import signal


class Stop:
    """Set by SIGTERM, SIGINT or `set`, once or more often, and waited for by any number of threads.

    What `threading.Event` would be if a signal's handler could set it: its lock isn't reentrant, so a signal that
    comes while the main thread is inside `wait`, or a second one inside the first one's `set`, would hang for ever.
    Here the handler writes to a pipe that nobody reads, which wakes whoever waits for its other end.
    """

    def __init__(self) -> None:
        self._waited, self._written = os.pipe()
        os.set_blocking(self._written, False)
        self._is_set = False

    def __del__(self) -> None:
        os.close(self._written)
        os.close(self._waited)

    def on_signals(self) -> Stop:
        """Have SIGTERM and SIGINT set it from now on. Returns itself."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.set())
        return self

    def set(self) -> None:
        """Wake all who wait, now and later."""
        self._is_set = True
        with contextlib.suppress(BlockingIOError):  # full, so they are awake
            os.write(self._written, b".")

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._is_set

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set, for so long at most, and say whether it is."""
        if not self._is_set:
            poll = select.poll()
            poll.register(self._waited, select.POLLIN)
            poll.poll(None if seconds is None else seconds * 1000)
        return self._is_set
