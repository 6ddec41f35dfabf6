"""A download's bytes, whether they are a file of the store or made from one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Content(Protocol):
    """Exactly `size` bytes, made while they are read."""

    size: int

    def pieces(self) -> Iterator[bytes]:
        """The bytes, in order and in bounded memory. Raises InvalidFile for a damaged source, and what it raises."""
        ...
