"""What one reaction of a policy reads: each stream once, many at a time, folded once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from application.ports.event_log import EventLog
from domain.event import Recorded

T = TypeVar("T")


class Reading:
    """Streams as they were when they were first asked for. It doesn't see what is appended afterwards: whoever decides
    by it guards the versions that it saw."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._histories: dict[str, Sequence[Recorded]] = {}
        self._states: dict[str, Any] = {}

    def ahead(self, streams: Iterable[str]) -> None:
        """These will be asked for: those that aren't known yet are read together."""
        missing = [stream for stream in dict.fromkeys(streams) if stream not in self._histories]
        if missing:
            found = self._log.load_many(missing)
            self._histories.update((stream, found.get(stream, ())) for stream in missing)

    def has(self, stream: str) -> bool:
        """Whether there is such a stream."""
        self.ahead([stream])
        return bool(self._histories[stream])

    def state(self, stream: str, fold: Callable[[Iterable[Recorded]], T]) -> T:
        """The aggregate; that of no event for a stream that isn't there."""
        if stream not in self._states:
            self.ahead([stream])
            self._states[stream] = fold(self._histories[stream])
        return cast(T, self._states[stream])
