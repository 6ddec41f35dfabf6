"""Long streams are remembered, so that only what has been added is read again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from domain.event import Recorded

LONG = 200
"""Events from which on a stream is worth remembering: a shorter one is read in about 3 ms."""
BUDGET = 4 << 20
"""Bytes of stored, compressed states that are remembered in all; the streams not asked for longest go first."""


class Known(NamedTuple):
    """A stream's first events, and how many bytes they take in the log."""

    events: tuple[Recorded, ...] = ()
    size: int = 0


NOTHING = Known()


class LongStreams:
    """The events of long streams. A stream only grows, so what is remembered never becomes wrong. Thread-safe."""

    def __init__(self, *, long: int = LONG, budget: int = BUDGET) -> None:
        self._long = long
        self._budget = budget
        self._lock = threading.Lock()
        self._streams: OrderedDict[str, Known] = OrderedDict()
        self._size = 0

    def known(self, stream: str) -> Known:
        """What is remembered of a stream."""
        with self._lock:
            if stream in self._streams:
                self._streams.move_to_end(stream)
            return self._streams.get(stream, NOTHING)

    def grown(self, stream: str, known: Known, added: Sequence[Recorded], size: int) -> Sequence[Recorded]:
        """The whole stream: what was known, and what was added to it, which takes `size` bytes."""
        if not added:
            return known.events
        whole = Known((*known.events, *added), known.size + size)
        if len(whole.events) >= self._long:
            self._remember(stream, whole)
        return whole.events

    def _remember(self, stream: str, whole: Known) -> None:
        with self._lock:
            self._size += whole.size - self._streams.pop(stream, NOTHING).size
            self._streams[stream] = whole
            while self._size > self._budget:
                _, forgotten = self._streams.popitem(last=False)
                self._size -= forgotten.size
