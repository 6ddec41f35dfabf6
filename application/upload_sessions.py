"""Where uploads stand is kept in the vault until they are over (its state may be a secret link of the provider's).

Whoever completes a transfer shreds what was kept for it; if that worker is killed between the two, this does it.
"""

from __future__ import annotations

import msgspec

from application.ports.event_log import EventLog
from application.ports.lookups import TransferLookup
from application.ports.vault import Vault
from domain import transfers

OVER = ("completed", "cancelled")
"""A failed transfer may be retried, and then goes on where it was."""


def session_owner(transfer_id: str) -> str:
    """Under which name the vault keeps a transfer's session."""
    return f"upload:{transfer_id}"


class SessionCleaning(msgspec.Struct, frozen=True, kw_only=True):
    """Forgets the sessions of transfers that are over. Safe at any time."""

    log: EventLog
    lookup: TransferLookup
    vault: Vault

    def run(self) -> int:
        """How many were forgotten. Raises RetryLater."""
        forgotten = 0
        for transfer in self.lookup.sessions_kept_in_vain():
            # the read model may be behind: a transfer that was retried meanwhile needs its session
            if transfers.fold(self.log.load(transfers.stream_of(transfer))).status in OVER:
                self.vault.shred(session_owner(transfer))
                forgotten += 1
        return forgotten
