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

    def understands(self, encoded: str) -> bool:
        """Whether `adopt` could take this hash."""
        ...

    def adopt(self, username: str, encoded: str) -> bool:
        """Keep a hash that Django made as the user's password, unless the user has one; false for a form that isn't
        understood. It becomes one of ours when its owner next logs in."""
        ...
