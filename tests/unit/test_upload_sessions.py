"""What the vault keeps of uploads is forgotten when they are over, also if the worker that ended one was killed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from adapters.event_store.memory import MemoryEventLog
from application import upload_sessions
from application.ports.destination import Arrived, Session
from application.ports.lookups import TransferLookup
from application.upload_sessions import (
    SessionCleaning,
    damaged_copy,
    latest_session,
    sealed_damage,
    sealed_session,
    session_owner,
)
from domain import transfers
from domain.errors import NeedsAuthorization, RetryLater, StarferryError
from domain.event import Event
from domain.storage_configs import StorageConfigDeleted
from domain.transfer_events import (
    TransferCancelled,
    TransferChecked,
    TransferCheckRequested,
    TransferFailed,
    TransferRetried,
)
from tests.fakes.clock import StillClock
from tests.fakes.destination import OneDestination, ScriptedDestination
from tests.fakes.file_store import OpenVault
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import completed, configured, record, started, transfer_requested

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


KEPT = sealed_session(1, Session(4, {"upload": "upload-1"}))


def cleaning_of(
    log: MemoryEventLog, lookup: TransferLookup, vault: OpenVault, destination: ScriptedDestination
) -> SessionCleaning:
    return SessionCleaning(log=log, lookup=lookup, vault=vault, open_destination=OneDestination(destination))


class BehindLookups(LogLookups):
    """A read model that takes every transfer for one that is over."""

    def sessions_kept_in_vain(self) -> Sequence[str]:
        """See TransferLookup."""
        return [f"v{number}-cfg" for number, _ in enumerate((*ENDED, *GOING_ON), 1)]


def test_only_those_of_transfers_that_are_over_are_forgotten_whatever_the_read_model_says() -> None:
    log, vault = MemoryEventLog(), OpenVault()
    configured(log, "cfg")
    for number, events in enumerate((*ENDED.values(), *GOING_ON.values()), 1):
        request = transfer_requested(number, "cfg")
        record(log, transfers.stream_of(request.id), request, *events)
        vault.put(session_owner(request.id), KEPT)
    vault.put("cfg", {"app_secret": "x"})
    cleaning = cleaning_of(log, BehindLookups(log, StillClock()), vault, ScriptedDestination())
    assert cleaning.run() == len(ENDED)
    kept = {session_owner(f"v{number}-cfg") for number in range(len(ENDED) + 1, len(ENDED) + len(GOING_ON) + 1)}
    assert vault.secrets.keys() == kept | {"cfg"}


class ListedLookups(LogLookups):
    """A read model that knows which sessions the vault has."""

    def __init__(self, log: MemoryEventLog, vault: OpenVault) -> None:
        super().__init__(log, StillClock())
        self._vault = vault

    def sessions_kept_in_vain(self) -> Sequence[str]:
        """See TransferLookup."""
        return [owner.removeprefix("upload:") for owner in self._vault.secrets if owner.startswith("upload:")]


class Yard:
    """Transfers that were cancelled while they waited for the next attempt, with part of each at the destination."""

    def __init__(self) -> None:
        self.log, self.vault, self.destination = MemoryEventLog(), OpenVault(), ScriptedDestination()
        configured(self.log, "cfg")

    def cancelled(self, *numbers: int) -> None:
        for number in numbers:
            request = transfer_requested(number, "cfg")
            record(self.log, transfers.stream_of(request.id), request, TransferCancelled(reason="Enough."))
            self.destination.uploads[f"upload-{number}"] = b"part"
            session = Session(4, {"upload": f"upload-{number}"})
            self.vault.put(session_owner(request.id), sealed_session(1, session))

    def clean(self) -> int:
        return cleaning_of(self.log, ListedLookups(self.log, self.vault), self.vault, self.destination).run()


def test_s48_what_the_destination_has_of_a_cancelled_upload_is_dropped() -> None:
    yard = Yard()
    yard.cancelled(1, 2)
    assert yard.clean() == 2
    assert (yard.destination.uploads, yard.vault.secrets) == ({}, {})
    assert yard.destination.opened == yard.destination.closed == 2


@pytest.mark.parametrize("error", [RetryLater("Busy."), NeedsAuthorization("Revoked.")])
def test_a_destination_that_does_not_answer_is_asked_once(error: StarferryError) -> None:
    yard = Yard()
    yard.cancelled(1)
    yard.destination.script("abandon", error)
    assert yard.clean() == 1
    assert (yard.clean(), yard.vault.secrets) == (0, {})


def test_a_deleted_destination_is_not_asked() -> None:
    yard = Yard()
    yard.cancelled(1)
    record(yard.log, "storage_config:cfg", StorageConfigDeleted())
    assert yard.clean() == 1
    assert (yard.destination.opened, yard.vault.secrets) == (0, {})


def test_many_are_dropped_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_sessions, "MOST_DROPPED", 2)
    yard = Yard()
    yard.cancelled(1, 2, 3)
    assert [yard.clean(), yard.clean(), yard.clean()] == [2, 1, 0]


def test_the_latest_attempts_session_counts_and_that_of_an_earlier_program_is_read() -> None:
    sessions = [Session(number, {"upload": f"u{number}"}) for number in range(11)]
    sealed = {name: text for number in (2, 10) for name, text in sealed_session(number, sessions[number]).items()}
    assert latest_session(sealed) == sessions[10]
    assert latest_session({"session": sealed["session-2"]}) == sessions[2]
    assert latest_session({}) is None


def test_s53_a_damaged_copy_of_a_cancelled_transfer_is_removed_if_it_is_still_there() -> None:
    yard = Yard()
    yard.cancelled(1)
    yard.destination.objects["/fits-data/M31/m31.fits"] = b"damaged"
    yard.vault.put(session_owner("v1-cfg"), sealed_damage(Arrived("/fits-data/M31/m31.fits", "rev", 7, {}, made=True)))
    assert yard.clean() == 1
    assert (yard.destination.objects, yard.vault.secrets) == ({}, {})


def test_a_damaged_copy_is_no_session() -> None:
    damaged = Arrived("/m31.fits", "rev", 7, {"md5": "00"}, made=True)
    assert latest_session(sealed_damage(damaged)) is None
    assert latest_session({**sealed_damage(damaged), **KEPT}) == Session(4, {"upload": "upload-1"})
    assert damaged_copy({**sealed_damage(damaged), **KEPT}) == damaged
    assert damaged_copy(KEPT) is None
