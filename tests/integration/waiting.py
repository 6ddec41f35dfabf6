"""Threads and conditions with a deadline: what hangs fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition, and fail when it doesn't come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


class Started(threading.Thread):
    """A started thread that can be waited for, with a deadline; what it raised is raised again."""

    def __init__(self, work: Callable[..., object], *arguments: object) -> None:
        super().__init__(daemon=True)
        self._work, self._arguments = work, arguments
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work(*self._arguments)
        except BaseException as error:
            self._error = error

    def finish(self, seconds: float = 60.0) -> None:
        self.join(seconds)
        assert not self.is_alive(), "it hangs"
        if self._error:
            raise self._error
