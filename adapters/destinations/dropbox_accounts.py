"""The Dropbox accounts in use: one a storage configuration, so that its transfers share token and connections."""

from __future__ import annotations

import hashlib
import threading

from adapters.destinations.dropbox_account import DropboxAccount


class DropboxAccounts:
    """Lends accounts. Safe to share between threads. `base` replaces Dropbox's addresses, for tests."""

    def __init__(self, base: str | None) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, DropboxAccount]] = {}

    def of(self, config_id: str, *, app_key: str, app_secret: str, refresh_token: str) -> DropboxAccount:
        """The configuration's account; a new one when it was authorized again or its app has changed."""
        credentials = hashlib.sha256("\0".join((app_key, app_secret, refresh_token)).encode()).hexdigest()
        with self._lock:
            known = self._known.get(config_id)
            if known and known[0] == credentials:
                return known[1]
            account = DropboxAccount(app_key, app_secret, refresh_token, self._base)
            self._known[config_id] = (credentials, account)
        if known:
            known[1].close()
        return account
