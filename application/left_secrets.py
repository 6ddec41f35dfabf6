"""Secrets that nobody will ask for any more are destroyed, whoever was killed before doing it.

Whoever deletes a storage configuration shreds its secrets, and whoever comes back from a provider takes the state of
their authorization along. What is left when they can't, or never come back, goes here.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from application.commands.authorization import STATES, Pending
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.lookups import StorageConfigLookup
from application.ports.vault import Vault
from domain import storage_configs
from domain.errors import GiveUp, Misconfigured
from domain.storage_configs import StorageConfigDeleted

GRACE = timedelta(minutes=10)
"""For whoever deletes a configuration: only they give its authorization back to the provider."""
MOST_STATES = 1000
"""States that one run opens; the next ones see the others."""


class SecretCleaning(msgspec.Struct, frozen=True, kw_only=True):
    """Shreds what is left in the vault of deleted configurations and of authorizations that nobody completed. Safe at
    any time."""

    log: EventLog
    lookup: StorageConfigLookup
    vault: Vault
    clock: Clock

    def run(self) -> int:
        """How many owners were shredded. Raises RetryLater."""
        over = [config for config in self.lookup.secrets_kept_in_vain() if self._deleted_long_ago(config)]
        over += [state for state in self.vault.owners(STATES)[:MOST_STATES] if self._expired(state)]
        if over:
            self.vault.shred_each(over)
        return len(over)

    def _deleted_long_ago(self, config_id: str) -> bool:
        history = self.log.load(storage_configs.stream_of(config_id))
        deleted = [recorded.at for recorded in history if isinstance(recorded.event, StorageConfigDeleted)]
        return bool(deleted) and deleted[0] + GRACE <= self.clock.now()

    def _expired(self, owner: str) -> bool:
        try:
            kept = self.vault.get(owner).get("pending")
        except (GiveUp, Misconfigured):  # sealed with a newer master key than this worker's, perhaps
            return False
        return kept is not None and msgspec.json.decode(kept, type=Pending).expires <= self.clock.now()
