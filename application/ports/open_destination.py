"""Opens the provider's adapter that a storage configuration asks for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from application.ports.destination import Destination
from domain.storage_configs import Provider, StorageConfig


class OpenDestination(Protocol):
    """One factory for all providers."""

    def __call__(self, config: StorageConfig, secrets: Mapping[str, str]) -> AbstractContextManager[Destination]:
        """The open destination; closed when the context ends. Raises GiveUp when the configuration can't be used."""
        ...

    def check(self, provider: Provider, options: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        """Raise InvalidInput when options or secrets can't be right (without asking the provider)."""
        ...
