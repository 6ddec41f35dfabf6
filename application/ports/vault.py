"""Keeps secrets out of events, logs and answers: sealed per owner, and shreddable."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol


class Vault(Protocol):
    """Secrets of storage configurations and of running uploads, encrypted at rest."""

    def put(self, owner: str, secrets: Mapping[str, str]) -> int:
        """Store or replace the named secrets of `owner` (a storage configuration's id, or `upload:<transfer>`);
        others of the same owner stay. Returns the owner's new secret version, counting from 1."""
        ...

    def put_each(self, secrets: Mapping[str, Mapping[str, str]]) -> None:
        """The same for several owners, in one trip when they have none yet. What fails may have been done for some."""
        ...

    def get(self, owner: str) -> dict[str, str]:
        """All secrets of the owner in the clear; empty when there are none. Raises Misconfigured when no known master
        key opens them."""
        ...

    def take(self, owner: str) -> dict[str, str]:
        """Like `get`, and destroys them, also those that can't be opened: of two who ask at the same time one gets
        them and the other nothing."""
        ...

    def names(self, owner: str) -> frozenset[str]:
        """Which secrets are set, without opening them."""
        ...

    def shred(self, owner: str) -> None:
        """Destroy the owner's data key and secrets for good; nobody can read them any more."""
        ...

    def shred_each(self, owners: Collection[str]) -> None:
        """The same for several owners, in one trip."""
        ...

    def owners(self, prefix: str) -> Sequence[str]:
        """Those who have secrets and whose names begin so, in no order."""
        ...
