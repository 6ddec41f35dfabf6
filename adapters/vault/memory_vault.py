"""A vault in memory, for tests and trials: it encrypts like the other and keeps its promises."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from adapters.vault.envelope import DataKey
from adapters.vault.keyring import Keyring
from adapters.vault.sealing import Sealed, check_names, open_all, seal_all


class _Owned(msgspec.Struct):
    master_key_id: str
    wrapped: bytes
    version: int
    secrets: dict[str, Sealed]


class MemoryVault:
    """Implements application.ports.vault.Vault. Safe to share between threads."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._owned: dict[str, _Owned] = {}
        self._lock = threading.Lock()

    def put(self, owner: str, secrets: Mapping[str, str]) -> int:
        check_names(owner, secrets)
        with self._lock:
            known = self._owned.get(owner)
            if not secrets:
                return known.version if known else 0
            version = known.version + 1 if known else 1
            data_key = self._data_key(owner, known) if known else DataKey.new(owner)
            sealed = {one.field: one for one in seal_all(data_key, version, secrets)}
            if known is None:
                newest = self._keyring.newest
                known = self._owned[owner] = _Owned(newest.id, newest.wrap(data_key), version, {})
            known.secrets |= sealed
            known.version = version
            return version

    def put_each(self, secrets: Mapping[str, Mapping[str, str]]) -> None:
        for owner, theirs in secrets.items():
            self.put(owner, theirs)

    def get(self, owner: str) -> dict[str, str]:
        with self._lock:
            known = self._owned.get(owner)
            return open_all(self._data_key(owner, known), known.secrets.values()) if known else {}

    def take(self, owner: str) -> dict[str, str]:
        with self._lock:
            known = self._owned.pop(owner, None)
            return open_all(self._data_key(owner, known), known.secrets.values()) if known else {}

    def names(self, owner: str) -> frozenset[str]:
        with self._lock:
            known = self._owned.get(owner)
            return frozenset(known.secrets) if known else frozenset()

    def shred(self, owner: str) -> None:
        with self._lock:
            self._owned.pop(owner, None)

    def shred_each(self, owners: Collection[str]) -> None:
        for owner in owners:
            self.shred(owner)

    def owners(self, prefix: str) -> Sequence[str]:
        with self._lock:
            return [owner for owner in self._owned if owner.startswith(prefix)]

    def check(self) -> None:
        """Raises Misconfigured when the master keys can't open what is stored."""
        with self._lock:
            for owner, known in self._owned.items():
                self._data_key(owner, known)

    def rewrap(self, progress: Callable[[int], None]) -> int:
        """Wrap every data key with the newest master key and return how many were moved."""
        newest = self._keyring.newest
        moved = 0
        with self._lock:
            for owner, known in self._owned.items():
                if known.master_key_id != newest.id:
                    known.wrapped = newest.wrap(self._data_key(owner, known))
                    known.master_key_id = newest.id
                    moved += 1
        if moved:
            progress(moved)
        return moved

    def _data_key(self, owner: str, known: _Owned) -> DataKey:
        return self._keyring.unwrap(owner, known.master_key_id, known.wrapped)
