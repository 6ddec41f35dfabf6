"""Faults that a test scripts: which request they meet and what happens to it."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field


@dataclass
class Fault:
    """Meets the `nth` request (counted from 1 among those that match, from the time it was added) and the following
    ones, `times` in all; `times=0` is for ever.

    `path` is a regular expression searched in the request's path and query. What happens, in this order:

    - `stall`: seconds of silence first;
    - `close="before"`: the connection closes and nothing was done;
    - `status`, `headers`, `body`: this reply, and nothing was done;
    - `cut_body_at`: the connection closes when so many bytes of the body were read; what was read may be kept;
    - `persist`: an upload keeps at most so many bytes of this request's body;
    - `close="after"`: everything is done, then the connection closes without a reply.
    """

    method: str = ""
    path: str = ""
    nth: int = 1
    times: int = 1
    stall: float = 0.0
    close: str = ""
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    cut_body_at: int | None = None
    persist: int | None = None
    seen: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Counts a matching request, and says whether the fault is for it."""
        if (self.method and self.method != method) or not re.search(self.path, path):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times == 0 or self.seen < self.nth + self.times)


class FaultScript:
    """The faults in force. Safe to use from several threads."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, the one added first where several meet it."""
        with self._lock:
            met = [fault for fault in self._faults if fault.meets(method, path)]
        return met[0] if met else None
