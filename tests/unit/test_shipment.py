"""Small files that a worker wins together: what they share, and that each ends by itself (docs/adr/0047)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from application import shipment
from application.ports.event_log import Commit
from domain import transfers
from domain.errors import DestinationPaused, GiveUp, NeedsAuthorization, RetryLater, StarferryError
from domain.event import Recorded
from domain.transfer_events import (
    TransferAttemptFailed,
    TransferCancelled,
    TransferCompleted,
    TransferFailed,
    TransferHeld,
    TransferInterrupted,
    TransferStarted,
)
from domain.transfers import Transfer
from tests.fakes.samples import record, started, transfer_requested, transfer_state
from tests.unit.test_ferry import DATA, Harbour
from tests.unit.test_ferry_limits import limit

NUMBERS = (1, 2, 3, 4)
IDS = tuple(f"v{number}-cfg" for number in NUMBERS)


class Pier(Harbour):
    """Four transfers wait, and a worker may take them all at once. `appends` has how many commits came at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.limits.together = len(NUMBERS)
        self.appends: list[int] = []
        for number in NUMBERS:
            data = self.data(number)
            requested = transfer_requested(number, "cfg", data=data, frame=f"m{number}")
            record(self.log, transfers.stream_of(requested.id), requested)
            self.store.files[f"files/{number}.fits", f"key-{number}"] = data
            self.limits.park("cfg", requested.id)

    @staticmethod
    def data(number: int) -> bytes:
        return DATA + str(number).encode()

    def sail(self, worker: str = "w1") -> None:
        """Carry all, and count what is appended meanwhile."""
        real = self.log.append_all

        def counted(commits: Sequence[Commit]) -> list[int | StarferryError]:
            self.appends.append(len(commits))
            return real(commits)

        self.log.append_all = counted  # type: ignore[method-assign]
        self.ferry(worker).go_on()
        self.log.append_all = real  # type: ignore[method-assign]

    def histories(self) -> list[list[Recorded]]:
        return [list(self.log.load(transfers.stream_of(one)))[1:] for one in IDS]

    def stories(self) -> list[list[type]]:
        return [[type(recorded.event) for recorded in history] for history in self.histories()]

    def states(self) -> list[Transfer]:
        return [transfer_state(self.log, one) for one in IDS]

    def statuses(self) -> list[str]:
        return [state.status for state in self.states()]


@pytest.fixture
def pier() -> Iterator[Pier]:
    pier = Pier()
    yield pier
    assert pier.destination.opened == pier.destination.closed
    assert "in_progress" not in pier.statuses(), "no attempt is left running"
    assert not +pier.limits.running


def test_they_are_started_and_recorded_together_and_the_destination_is_opened_once(pier: Pier) -> None:
    pier.sail()
    assert pier.stories() == [[TransferStarted, TransferCompleted]] * 4
    assert pier.appends == [4, 4]
    assert pier.destination.opened == 1
    assert pier.destination.calls[0] == "expect 4", "the destination hears of all before the first begins"
    assert sorted(pier.destination.objects.values()) == [pier.data(number) for number in NUMBERS]


def test_each_event_belongs_to_its_own_transfer_and_follows_the_one_before(pier: Pier) -> None:
    pier.sail()
    for one, history in zip(IDS, pier.histories(), strict=True):
        requested = pier.log.load(transfers.stream_of(one))[0]
        assert [recorded.cause.causation for recorded in history] == [requested.position, history[0].position]
        assert history[1].event.attempt == 1  # type: ignore[attr-defined]


def test_one_that_fails_leaves_the_others(pier: Pier) -> None:
    pier.destination.script("finish", None, RetryLater("Busy."), GiveUp("Another file has that name."))
    pier.sail()
    assert [story[-1] for story in pier.stories()] == [
        TransferCompleted, TransferAttemptFailed, TransferFailed, TransferCompleted,
    ]  # fmt: skip


def test_one_whose_file_is_gone_or_whose_adapter_has_a_bug_leaves_the_others(pier: Pier) -> None:
    del pier.store.files["files/2.fits", "key-2"]
    pier.destination.script("begin", None, ZeroDivisionError())
    pier.sail()
    assert [story[-1] for story in pier.stories()] == [
        TransferCompleted, TransferFailed, TransferAttemptFailed, TransferCompleted,
    ]  # fmt: skip


@pytest.mark.parametrize("error", [NeedsAuthorization("Revoked."), DestinationPaused("Full.")])
def test_a_destination_that_refuses_is_not_asked_for_the_rest(pier: Pier, error: StarferryError) -> None:
    pier.destination.script("finish", None, error)
    pier.sail()
    assert [story[-1] for story in pier.stories()] == [TransferCompleted, TransferHeld, TransferHeld, TransferHeld]
    assert pier.destination.calls.count("finish") == 2
    assert [state.failures for state in pier.states()] == [0] * 4, "no attempt is used up"
    assert not pier.config.ready()


def test_a_destination_that_cannot_be_opened_fails_all(pier: Pier) -> None:
    pier.opening.trouble = RetryLater("Nobody answers.")
    pier.sail()
    assert pier.stories() == [[TransferStarted, TransferAttemptFailed]] * 4


def test_one_that_another_worker_has_won_is_not_carried(pier: Pier) -> None:
    real = pier.log.load_many

    def meanwhile(streams: Sequence[str]) -> object:
        found = real(streams)
        pier.log.load_many = real  # type: ignore[method-assign]
        record(pier.log, transfers.stream_of(IDS[1]), started(1, "w2"))
        return found

    pier.log.load_many = meanwhile  # type: ignore[method-assign,assignment]
    pier.sail()
    assert pier.stories()[1] == [TransferStarted]
    assert len(pier.destination.objects) == 3
    record(pier.log, transfers.stream_of(IDS[1]), TransferCancelled(reason="end of the test"))


def test_s48_one_that_is_cancelled_while_it_waits_for_its_turn_leaves_nothing(pier: Pier) -> None:
    def cancel() -> None:
        record(pier.log, transfers.stream_of(IDS[2]), TransferCancelled(reason="enough"))

    pier.destination.script("begin", cancel)
    pier.sail()
    assert pier.statuses() == ["completed", "completed", "cancelled", "completed"]
    assert len(pier.destination.objects) == 3


def test_what_has_arrived_is_recorded_at_the_latest_after_a_moment(pier: Pier) -> None:
    seen: list[list[str]] = []

    def slow() -> None:
        seen.append(pier.statuses())
        pier.clock.forward(seconds=shipment.UNRECORDED_SECONDS)

    pier.destination.script("finish", slow, slow, slow)
    pier.sail()
    running = "in_progress"
    assert seen == [[running] * 4, [running] * 4, ["completed", "completed", running, running]]
    assert pier.appends == [4, 2, 2], "the first waits while the second is sent, and no longer"


def test_a_large_file_is_not_waited_for(pier: Pier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipment, "TOGETHER_BYTES", len(DATA))
    pier.sail()
    assert pier.appends == [4, 1, 1, 1, 1]
    assert pier.statuses() == ["completed"] * 4


def test_starts_whose_answer_was_lost_are_all_given_back(pier: Pier, monkeypatch: pytest.MonkeyPatch) -> None:
    ferry, real = pier.ferry(), pier.log.append_all

    def stored_but_unanswered(commits: Sequence[Commit]) -> list[int | StarferryError]:
        monkeypatch.setattr(pier.log, "append_all", real)
        real(commits[:2])
        raise RetryLater("The connection broke.")

    monkeypatch.setattr(pier.log, "append_all", stored_but_unanswered)
    with pytest.raises(RetryLater):
        ferry.go_on()
    assert set(ferry.unsettled) == set(IDS)
    ferry.settle()
    assert pier.stories() == [[TransferStarted, TransferInterrupted]] * 2 + [[]] * 2


def test_copies_that_could_not_be_recorded_are_found_by_the_next_attempt(
    pier: Pier, monkeypatch: pytest.MonkeyPatch
) -> None:
    ferry, real = pier.ferry(), pier.log.append_all
    answers = iter((True, False))

    def away(commits: Sequence[Commit]) -> list[int | StarferryError]:
        if next(answers, True):
            return real(commits)
        raise RetryLater("The database can't be reached.")

    monkeypatch.setattr(pier.log, "append_all", away)
    ferry.go_on()
    assert pier.stories() == [[TransferStarted, TransferAttemptFailed]] * 4
    copies = dict(pier.destination.objects)
    pier.clock.forward(minutes=5)
    for one in IDS:
        pier.limits.park("cfg", one)
    ferry.go_on()
    assert pier.statuses() == ["completed"] * 4
    assert pier.destination.objects == copies


def test_sessions_that_must_be_kept_are_kept_before_the_first_byte_and_forgotten_at_the_end(pier: Pier) -> None:
    pier.destination.keeps_session = True
    kept: list[set[str]] = []
    pier.destination.script("put", lambda: kept.append(set(pier.vault.secrets)))
    pier.sail()
    assert kept == [{"cfg", *(f"upload:{one}" for one in IDS)}]
    assert set(pier.vault.secrets) == {"cfg"}
    assert pier.statuses() == ["completed"] * 4


def test_without_a_kept_session_nothing_is_sent(pier: Pier, monkeypatch: pytest.MonkeyPatch) -> None:
    pier.destination.keeps_session = True

    def away(_: object) -> None:
        raise RetryLater("The database can't be reached.")

    monkeypatch.setattr(pier.vault, "put_each", away)
    pier.sail()
    assert "put" not in pier.destination.calls
    assert pier.stories() == [[TransferStarted, TransferAttemptFailed]] * 4


def test_one_that_was_taken_over_while_sessions_were_kept_is_left_to_its_new_worker(pier: Pier) -> None:
    pier.destination.keeps_session = True

    def taken_over() -> None:
        stream = transfers.stream_of(IDS[3])
        record(pier.log, stream, TransferInterrupted(attempt=1, reason="lost"), started(2, "w2"))

    pier.destination.script("begin", taken_over)
    pier.sail()
    assert pier.statuses()[:3] == ["completed"] * 3
    assert len(pier.destination.objects) == 3
    record(pier.log, transfers.stream_of(IDS[3]), TransferCancelled(reason="end of the test"))


@pytest.mark.parametrize("limits", [{"max_transfers": 2}, {"max_bytes_per_second": 1_000_000}])
def test_s59_with_a_limit_each_goes_alone(pier: Pier, limits: dict[str, int]) -> None:
    limit(pier, **limits)
    running: list[int] = []
    pier.destination.script("begin", *[lambda: running.append(pier.statuses().count("in_progress"))] * 4)
    pier.sail()
    assert running == [1, 1, 1, 1]
    assert pier.statuses() == ["completed"] * 4


def test_those_that_are_to_be_checked_or_turned_away_are_no_hindrance(pier: Pier) -> None:
    record(pier.log, transfers.stream_of(IDS[0]), TransferCancelled(reason="enough"))
    record(pier.log, transfers.stream_of(IDS[1]), TransferHeld(reason="full", paused=True))
    pier.sail()
    assert pier.statuses() == ["cancelled", "pending", "completed", "completed"]
    assert pier.appends == [2, 2]
