"""Passwords: kept as slow hashes, outside the event log so that they can be forgotten."""

from __future__ import annotations

from typing import Protocol


class Passwords(Protocol):
    """Sets and checks passwords."""

    def set(self, username: str, password: str) -> None:
        """Replace the user's password. Raises InvalidInput when it is too short or too long."""
        ...

    def check(self, username: str, password: str) -> bool:
        """Whether this is the user's password. Takes the same time for an unknown user."""
        ...
