"""What a worker does about the limits of destinations (S59)."""

from __future__ import annotations

import msgspec
import pytest

from application import one_upload, pacing
from domain import storage_configs, transfers
from domain.errors import GiveUp, RetryLater
from domain.storage_configs import Settings, StorageConfigDeleted, StorageConfigEdited
from domain.transfer_events import TransferCancelled, TransferCompleted, TransferFailed, TransferStarted
from tests.fakes.samples import configured, record, transfer_requested, transfer_state
from tests.unit.test_ferry import DATA, ID, Harbour


@pytest.fixture
def harbour() -> Harbour:
    return Harbour()


def limit(harbour: Harbour, **limits: int | None) -> None:
    settings: Settings = msgspec.structs.replace(harbour.config.settings, **limits)
    record(harbour.log, "storage_config:cfg", StorageConfigEdited(settings=settings, options={}))


def another(harbour: Harbour, number: int, config: str = "cfg") -> str:
    """One more file on its way."""
    requested = transfer_requested(number, config, data=DATA, frame=f"m{number}")
    record(harbour.log, transfers.stream_of(requested.id), requested)
    harbour.store.files[f"files/{number}.fits", f"key-{number}"] = DATA
    return requested.id


def status(harbour: Harbour, transfer: str) -> str:
    return transfer_state(harbour.log, transfer).status


def test_s59_what_finds_no_place_waits_and_is_carried_by_who_frees_one(harbour: Harbour) -> None:
    limit(harbour, max_transfers=1)
    harbour.request()
    second, third = another(harbour, 8), another(harbour, 9)

    def meanwhile() -> None:
        for other in (second, third):
            harbour.carry("w2", other)
        assert (status(harbour, second), status(harbour, third)) == ("pending", "pending")
        assert [transfer for _, transfer in harbour.limits.parked] == [second, third]

    harbour.destination.script("begin", meanwhile)
    harbour.carry()
    assert [status(harbour, one) for one in (ID, second, third)] == ["completed"] * 3
    assert harbour.limits.parked == []
    order = [event.stream for event in harbour.log.read(0, 99).events if isinstance(event.event, TransferStarted)]
    assert order == [transfers.stream_of(one) for one in (ID, second, third)], "the longest waiting first"


def test_s59_a_worker_looks_for_more_where_there_is_room_or_another_destination_waits(harbour: Harbour) -> None:
    def knocks(places: int) -> int:
        calls: list[None] = []
        harbour.limits.places = places
        harbour.ferry("w1").go_on(lambda: calls.append(None))
        return len(calls)

    harbour.request()
    harbour.limits.park("cfg", ID)
    assert knocks(places=8) == 1, "three more would find a place"
    harbour.limits.park("cfg", another(harbour, 8))
    assert knocks(places=2) == 0, "the only place is taken"
    configured(harbour.log, "other")
    for number, config in ((9, "cfg"), (10, "other")):
        harbour.limits.park(config, another(harbour, number, config))
    assert knocks(places=2) == 1, "the other destination has a place of its own"


def test_s59_a_waiting_transfer_of_another_destination_goes_first_when_that_has_fewer(harbour: Harbour) -> None:
    configured(harbour.log, "other")
    harbour.limits.places = 2
    harbour.request()
    second, foreign = another(harbour, 8), another(harbour, 9, "other")

    def meanwhile() -> None:
        harbour.carry("w2", second)
        assert status(harbour, second) == "pending"
        harbour.carry("w2", foreign)
        assert status(harbour, foreign) == "completed", "a slow destination leaves a place"

    harbour.destination.script("begin", meanwhile)
    harbour.carry()
    assert status(harbour, second) == "completed"


def test_whoever_finds_something_calls_another_for_there_may_be_more(harbour: Harbour) -> None:
    harbour.request()
    second = another(harbour, 8)
    for transfer in (ID, second):
        harbour.limits.park("cfg", transfer)
    called: list[str] = []
    harbour.ferry().go_on(lambda: called.append(harbour.status))
    assert called == ["pending", "completed"], "before it is carried, and not when nothing was found"
    assert status(harbour, second) == "completed"


def test_what_is_not_due_yet_waits_until_it_is(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("begin", RetryLater("Busy."))
    assert harbour.carry().failures == 1
    harbour.clock.forward(minutes=2)
    assert harbour.carry().attempts == 1
    assert harbour.limits.later == [("cfg", ID, 180.0)]


def test_s57_what_is_not_due_for_long_is_looked_at_every_hour_for_the_clock_may_be_wrong(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("begin", RetryLater("Busy.", retry_after=80_000.0))
    harbour.carry()
    harbour.carry()
    assert harbour.limits.later == [("cfg", ID, 3600.0)]


def test_s59_a_failed_attempt_gives_its_place_back(harbour: Harbour) -> None:
    harbour.request()
    harbour.destination.script("begin", GiveUp("No."))
    harbour.carry()
    assert harbour.status == "failed"
    assert not +harbour.limits.running


def test_s59_what_waited_for_a_destination_that_was_deleted_meanwhile_is_cancelled(harbour: Harbour) -> None:
    harbour.request()
    harbour.limits.park("cfg", ID)
    record(harbour.log, "storage_config:cfg", StorageConfigDeleted())
    harbour.ferry().go_on()
    assert harbour.told == [TransferCancelled]


def test_s59_what_was_carried_or_cancelled_meanwhile_only_leaves(harbour: Harbour) -> None:
    harbour.request()
    harbour.limits.park("cfg", ID)
    harbour.happens(TransferCancelled(reason="enough"))
    other = another(harbour, 8)
    harbour.limits.park("cfg", other)
    harbour.ferry().go_on()
    assert harbour.told == [TransferCancelled]
    assert status(harbour, other) == "completed"


def test_s59_each_chunk_waits_for_the_destinations_line(harbour: Harbour) -> None:
    limit(harbour, max_bytes_per_second=65536)
    harbour.request(b"12345678xy")
    harbour.limits.seconds = 0.5
    harbour.carry()
    assert harbour.limits.reserved == [("cfg", 4, 65536), ("cfg", 4, 65536), ("cfg", 2, 65536)]
    assert harbour.waits == [0.5] * 3
    assert harbour.told == [TransferStarted, TransferCompleted]


def test_s59_without_a_limit_nothing_waits(harbour: Harbour) -> None:
    harbour.request()
    harbour.limits.seconds = 9.0
    harbour.carry()
    assert (harbour.limits.reserved, harbour.waits) == ([], [])


def test_s59_a_limit_that_is_set_or_lifted_counts_for_a_running_transfer(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "LOOK_BYTES", 8)
    harbour.request(bytes(24))
    put: list[None] = []

    def edit() -> None:
        put.append(None)
        limit(harbour, max_bytes_per_second={1: 65536, 4: None}.get(len(put), harbour_rate(harbour)))

    harbour.destination.script("put", *[edit] * 6)
    harbour.carry()
    assert [size for _, size, _ in harbour.limits.reserved] == [4, 4, 4], "from the second chunk to the fourth"


def harbour_rate(harbour: Harbour) -> int | None:
    return harbour.config.settings.max_bytes_per_second


def test_s59_a_transfer_that_is_cancelled_while_it_waits_for_the_line_sends_nothing_more(harbour: Harbour) -> None:
    limit(harbour, max_bytes_per_second=65536)
    harbour.request()
    harbour.limits.seconds = one_upload.LONG_WAIT + 1
    ferry = msgspec.structs.replace(
        harbour.ferry(), wait=lambda _: harbour.happens(TransferCancelled(reason="Cancelled by ana."))
    )
    harbour.carry(ferry)
    assert harbour.status == "cancelled"
    assert "put" not in harbour.destination.calls
    assert harbour.destination.uploads == {}, "what the provider had of it is dropped"


@pytest.mark.parametrize(
    "limits",
    [{"max_transfers": 0}, {"max_transfers": 33}, {"max_bytes_per_second": 65535}, {"max_bytes_per_second": 0}],
)
def test_s59_limits_that_cannot_be_right_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(storage_configs.InvalidInput, match=next(iter(limits))):
        storage_configs.check_settings(Settings(display_name="NAS", **limits))  # type: ignore[arg-type]


def test_a_transfer_failing_for_its_file_does_not_stop_those_that_wait(harbour: Harbour) -> None:
    harbour.request()
    other = another(harbour, 8)
    harbour.limits.park("cfg", other)
    harbour.store.files.pop(("files/7.fits", "key-7"))
    harbour.carry()
    assert isinstance(harbour.events[-1], TransferFailed)
    assert status(harbour, other) == "completed"
