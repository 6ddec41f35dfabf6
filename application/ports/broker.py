"""The message broker that others listen to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Message(msgspec.Struct, frozen=True):
    """A JSON body, and an id that stays the same when it is sent again."""

    id: str
    body: bytes


class Broker(Protocol):
    """Takes messages for everybody who listens. Used by one thread."""

    def publish(self, messages: Sequence[Message]) -> int:
        """Send these in order and return how many, from the first on, the broker has taken into its keeping.

        That is at least one; fewer than all when contact was lost on the way. What wasn't confirmed may have arrived
        all the same. Raises RetryLater, with the seconds to wait, when none was confirmed, whatever the cause: an
        outage, or a broker that refuses us until its operator has changed something.
        """
        ...
