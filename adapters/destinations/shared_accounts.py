"""The authorized accounts in use: one a storage configuration, so that its transfers share token and connections."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Account(Protocol):
    """What can be closed when its credentials are no longer in force."""

    def close(self) -> None: ...


A = TypeVar("A", bound=Account)


class SharedAccounts(Generic[A]):
    """Lends accounts of one provider. Safe to share between threads. `make` gets the credentials as they were given."""

    def __init__(self, make: Callable[..., A]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, A]] = {}

    def of(self, config_id: str, *given: str) -> A:
        """The configuration's account; a new one when its credentials have changed: it was authorized again, say."""
        credentials = hashlib.sha256("\0".join(given).encode()).hexdigest()
        with self._lock:
            known = self._known.get(config_id)
            if known and known[0] == credentials:
                return known[1]
            account = self._make(*given)
            self._known[config_id] = (credentials, account)
        if known:
            known[1].close()
        return account
