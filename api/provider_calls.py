"""Requests that wait for somebody else's server: few at a time, so that one that hangs holds up nobody but its like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from domain.errors import Conflict

THREADS = 8
"""For each kind; all else in a process shares anyio's forty."""
MOST_TESTS = 3
"""Of one user at a time: nobody takes all the threads."""


class ProviderCalls:
    """Belongs to one event loop; each API process has its own.

    Connection tests go to whatever address a user has written down. Consents go to the providers that we know: they
    have threads apart, so that nobody's endpoint holds up an authorization or a deletion.
    """

    def __init__(self) -> None:
        self.tests = anyio.CapacityLimiter(THREADS)
        self.consents = anyio.CapacityLimiter(THREADS)
        self._tested: set[str] = set()
        self._testing: Counter[str] = Counter()

    @contextmanager
    def testing(self, config_id: str, username: str) -> Iterator[None]:
        """While a configuration is tested. Raises Conflict when it is already, or the user has others tested."""
        if config_id in self._tested:
            raise Conflict("This storage configuration is being tested; wait for the result.")
        if self._testing[username] >= MOST_TESTS:
            raise Conflict(f"You are testing {MOST_TESTS} storage configurations; wait for one of the results.")
        self._tested.add(config_id)
        self._testing[username] += 1
        try:
            yield
        finally:
            self._tested.discard(config_id)
            self._testing[username] -= 1
            self._testing += Counter()  # forgets the users who have none
