"""Sets of names too large to hold, compared by sums: each name's hash is added to the sum of its bucket when it
is taken, and subtracted when it is given up. Buckets that differ in the end say in which to look."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

BUCKETS = 256
_MODULUS = 1 << 120


class NameSums:
    """Order doesn't matter, and sums of parts can be added."""

    def __init__(self, sums: Iterable[int] = ()) -> None:
        self.sums = list(sums) or [0] * BUCKETS

    def add(self, names: Iterable[str], sign: int = 1) -> None:
        """Take names (or with -1 give them up)."""
        for name in names:
            bucket, value = _hashed(name)
            self.sums[bucket] = (self.sums[bucket] + sign * value) % _MODULUS

    def include(self, other: Iterable[int]) -> None:
        """Add the sums of another part."""
        self.sums = [(mine + theirs) % _MODULUS for mine, theirs in zip(self.sums, other, strict=True)]

    def differing(self, other: NameSums) -> frozenset[int]:
        """The buckets in which the sets differ."""
        return frozenset(number for number in range(BUCKETS) if self.sums[number] != other.sums[number])


def bucket_of(name: str) -> int:
    """In which bucket a name is."""
    return _hashed(name)[0]


def _hashed(name: str) -> tuple[int, int]:
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return digest[0], int.from_bytes(digest[1:], "big")
