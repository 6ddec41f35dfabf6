"""Events that a policy could not handle, kept for an operator."""

from __future__ import annotations

from typing import Protocol

from domain.event import Recorded


class DeadLetters(Protocol):
    """Keeps what was set aside until somebody has looked at it."""

    def put(self, consumer: str, recorded: Recorded) -> None:
        """Keep the position of an event that `consumer` could not handle; putting it twice changes nothing."""
        ...
