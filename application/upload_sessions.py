"""Where uploads stand is kept in the vault until they are over (its state may be a secret link of the provider's), and
beside it a copy that arrived damaged and couldn't be removed yet.

Whoever completes a transfer shreds what was kept for it; if that worker is killed between the two, this does it. And of
a transfer that was cancelled between two attempts it drops what the provider has.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import structlog

from application.commands.storage_configs import load_config
from application.ports.destination import Arrived, Session, Upload
from application.ports.event_log import EventLog
from application.ports.lookups import TransferLookup
from application.ports.open_destination import OpenDestination
from application.ports.vault import Vault
from domain import transfers
from domain.errors import StarferryError
from domain.transfer_events import TransferRequested

logger = structlog.get_logger()

OVER = ("completed", "cancelled")
"""A failed transfer may be retried, and then goes on where it was."""
DAMAGED = "damaged"
"""The name of such a copy in the vault."""
MOST_DROPPED = 50
"""Uploads that one run drops at their providers, each a request or two; the next run goes on."""


def session_owner(transfer_id: str) -> str:
    """Under which name the vault keeps a transfer's session."""
    return f"upload:{transfer_id}"


def sealed_session(attempt: int, session: Session) -> dict[str, str]:
    """A session as the vault has it: each attempt's under its own name, so that one that was overtaken doesn't
    overwrite what its successor has kept."""
    return {f"session-{attempt}": msgspec.json.encode(session).decode()}


def latest_session(sealed: Mapping[str, str]) -> Session | None:
    """That of the latest attempt which kept one."""
    sessions = [name for name in sealed if name != DAMAGED]
    if not sessions:
        return None
    return msgspec.json.decode(sealed[max(sessions, key=_attempt_of)], type=Session)


def sealed_damage(arrived: Arrived) -> dict[str, str]:
    """A damaged copy of ours that is to be removed, as the vault has it."""
    return {DAMAGED: msgspec.json.encode(arrived).decode()}


def damaged_copy(sealed: Mapping[str, str]) -> Arrived | None:
    """What is to be removed before the next attempt."""
    return msgspec.json.decode(sealed[DAMAGED], type=Arrived) if DAMAGED in sealed else None


class SessionCleaning(msgspec.Struct, frozen=True, kw_only=True):
    """Forgets the sessions of transfers that are over. Safe at any time."""

    log: EventLog
    lookup: TransferLookup
    vault: Vault
    open_destination: OpenDestination

    def run(self) -> int:
        """How many were forgotten. Raises RetryLater."""
        forgotten = dropped = 0
        for name in self.lookup.sessions_kept_in_vain():
            # the read model may be behind: a transfer that was retried meanwhile needs its session
            transfer = transfers.fold(self.log.load(transfers.stream_of(name)))
            if transfer.status not in OVER:
                continue
            if transfer.status == "cancelled" and transfer.request is not None:
                if dropped == MOST_DROPPED:
                    continue
                dropped += 1
                self._drop(name, transfer.request)
            self.vault.shred(session_owner(name))
            forgotten += 1
        return forgotten

    def _drop(self, name: str, request: TransferRequested) -> None:
        """What the provider has of it, once: where that fails it is left for the provider to clear."""
        kept = self.vault.get(session_owner(name))
        session, damaged = latest_session(kept), damaged_copy(kept)
        config = load_config(self.log, request.storage_config)
        if not kept or config.deleted or request.size is None or request.hashes is None:
            return
        upload = Upload(path=request.destination_path, size=request.size, hashes=request.hashes, token=name)
        try:
            with self.open_destination(config, self.vault.get(config.id)) as destination:
                if damaged:
                    destination.remove(damaged)
                elif session:
                    destination.abandon(upload, session)
        except StarferryError as error:
            logger.warning("a cancelled upload was not dropped", transfer=name, reason=str(error))
        else:
            logger.info("dropped a cancelled upload", transfer=name)


def _attempt_of(name: str) -> int:
    """Of a session's name in the vault; an earlier program kept one for all attempts."""
    return int(name.partition("-")[2] or 0)
