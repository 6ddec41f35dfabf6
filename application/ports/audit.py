"""Finds events in a big log without reading it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Protocol

import msgspec

from domain.catalogue import EVENTS
from domain.errors import InvalidInput
from domain.event import VIAS, Recorded

KINDS = tuple(sorted({topic.partition(".")[0] for topic in EVENTS}))
"""The first words of topics, each of which stands for all of its topics."""


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are wanted: those for which all holds that is set here. `kinds` are topics or their first words (one
    of them); times are inclusive, in UTC."""

    kinds: tuple[str, ...] = ()
    actor: str = ""
    via: str = ""
    stream: str = ""
    correlation: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def wants_all(self) -> bool:
        """Whether nothing is left out."""
        return self == EventFilter()

    def topics(self) -> frozenset[str]:
        """The topics that `kinds` stand for. Raises InvalidInput for one that there is none of."""
        return _topics(self.kinds)

    def check(self) -> None:
        """Raise InvalidInput for what can't be meant."""
        self.topics()
        if self.via and self.via not in VIAS:
            raise InvalidInput(f"There is no way in {self.via}; there are {', '.join(VIAS)}.", field="via")
        if self.since and self.until and self.since > self.until:
            raise InvalidInput("since is later than until: no event can be between them.", field="since")

    def admits(self, recorded: Recorded) -> bool:
        """Whether this event is wanted."""
        cause = recorded.cause
        return (
            (not self.kinds or recorded.event.topic in self.topics())
            and self.actor in ("", cause.actor)
            and self.via in ("", cause.via)
            and self.stream in ("", recorded.stream)
            and self.correlation in ("", cause.correlation)
            and (self.since is None or recorded.at >= self.since)
            and (self.until is None or recorded.at <= self.until)
        )


@lru_cache(maxsize=64)
def _topics(kinds: tuple[str, ...]) -> frozenset[str]:
    for kind in kinds:
        if kind not in EVENTS and kind not in KINDS:
            raise InvalidInput(
                f"There is no kind of event {kind}; there are {', '.join(KINDS)}, and each one's topics, such as "
                "transfer.completed.",
                field="kind",
            )
    return frozenset(topic for topic in EVENTS if topic in kinds or topic.partition(".")[0] in kinds)


class EventIndex(Protocol):
    """What is known of events without their content. Safe to share between threads; may raise RetryLater."""

    def reached(self, at_least: int = 0) -> int:
        """The position up to which it knows all events, once that is `at_least` so much. Raises RetryLater when it
        stays behind."""
        ...

    def positions(
        self, wanted: EventFilter, *, after: int, upto: int, limit: int, newest_first: bool = False
    ) -> Sequence[int]:
        """Positions above `after`, not above `upto`, of events that may be wanted, in order, at most `limit`. It may
        take an event for wanted that isn't, and ignores `stream`."""
        ...

    def before(self, moment: datetime, upto: int) -> int:
        """The last position, not above `upto`, of events before a moment, as if times only ever grew; 0 for none."""
        ...
