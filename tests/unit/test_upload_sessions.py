"""What the vault keeps of uploads is forgotten when they are over, also if the worker that ended one was killed."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.event_store.memory import MemoryEventLog
from application.upload_sessions import SessionCleaning, session_owner
from domain import transfers
from domain.event import Event
from domain.transfers import TransferCancelled, TransferChecked, TransferCheckRequested, TransferFailed, TransferRetried
from tests.fakes.clock import StillClock
from tests.fakes.file_store import OpenVault
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import completed, record, started, transfer_requested

ENDED: dict[str, Sequence[Event]] = {
    "completed": (started(), completed()),
    "cancelled": (TransferCancelled(reason="Enough."),),
}
GOING_ON: dict[str, Sequence[Event]] = {
    "pending": (),
    "running": (started(),),
    "failed": (started(), TransferFailed(attempt=1, reason="r", error="e")),
    "sent again": (
        started(), completed(), TransferCheckRequested(), TransferChecked(outcome="missing"), TransferRetried(),
    ),
}  # fmt: skip


class BehindLookups(LogLookups):
    """A read model that takes every transfer for one that is over."""

    def sessions_kept_in_vain(self) -> Sequence[str]:
        """See TransferLookup."""
        return [f"v{number}-cfg" for number, _ in enumerate((*ENDED, *GOING_ON), 1)]


def test_only_those_of_transfers_that_are_over_are_forgotten_whatever_the_read_model_says() -> None:
    log, vault = MemoryEventLog(), OpenVault()
    for number, events in enumerate((*ENDED.values(), *GOING_ON.values()), 1):
        request = transfer_requested(number, "cfg")
        record(log, transfers.stream_of(request.id), request, *events)
        vault.put(session_owner(request.id), {"session-1": "state"})
    vault.put("cfg", {"app_secret": "x"})
    cleaning = SessionCleaning(log=log, lookup=BehindLookups(log, StillClock()), vault=vault)
    assert cleaning.run() == len(ENDED)
    kept = {session_owner(f"v{number}-cfg") for number in range(len(ENDED) + 1, len(ENDED) + len(GOING_ON) + 1)}
    assert vault.secrets.keys() == kept | {"cfg"}
