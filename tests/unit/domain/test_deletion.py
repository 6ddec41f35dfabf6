"""When a file may leave the server (S54), case by case."""

from __future__ import annotations

import msgspec
import pytest

from domain import storage_configs, transfers
from domain.deletion import FileInQuestion, SafeToDelete, safe_deletions, still_wanted
from domain.event import Event
from domain.storage_configs import FileContent, StorageConfig, StorageConfigDeleted
from domain.transfer_events import (
    CopyState,
    TransferCancelled,
    TransferChecked,
    TransferCheckFailed,
    TransferCheckRequested,
    TransferFailed,
)
from domain.transfers import Transfer
from tests.fakes.samples import completed, config_created, recorded, started, transfer_requested

RAW = FileInQuestion("m31", 1, "raw")
CALIBRATED = FileInQuestion("m31-e91", 2, "calibrated")
CANCELLED = TransferCancelled(reason="Cancelled by ana.")
DONE = (started(), completed())
AGAIN, FOUND = TransferCheckRequested(), TransferChecked(outcome="verified")


def config(name: str, content: FileContent = "raw", *, delete: bool = True, deleted: bool = False) -> StorageConfig:
    events: list[Event] = [config_created(name, content, delete=delete)]
    return storage_configs.fold(recorded(*events, *([StorageConfigDeleted()] if deleted else [])))


def transfer(version_id: int, name: str, *events: Event, delete: bool = True) -> Transfer:
    return transfers.fold(recorded(transfer_requested(version_id, name, delete=delete), *events))


def ask(
    files: list[FileInQuestion],
    configs: list[StorageConfig],
    states: list[Transfer],
    *,
    expects_calibration: bool = False,
) -> tuple[SafeToDelete, ...]:
    by_id = {state.request.id: state for state in states if state.request}
    return safe_deletions(files, {one.id: one for one in configs}, by_id, expects_calibration=expects_calibration)


def test_a_verified_copy_at_the_only_destination_makes_the_file_safe_to_delete() -> None:
    assert ask([RAW], [config("a")], [transfer(1, "a", *DONE)]) == (SafeToDelete("m31", 1, ("v1-a",)),)


def test_all_copies_justify_a_deletion_though_only_one_destination_asked_for_it() -> None:
    safe = ask(
        [RAW],
        [config("a", delete=False), config("b")],
        [transfer(1, "a", *DONE, delete=False), transfer(1, "b", *DONE)],
    )
    assert safe == (SafeToDelete("m31", 1, ("v1-a", "v1-b")),)


def test_nothing_is_deleted_that_no_destination_asked_to_delete() -> None:
    assert ask([RAW], [config("a", delete=False)], [transfer(1, "a", *DONE, delete=False)]) == ()


def test_what_counts_is_the_wish_when_the_transfer_was_requested() -> None:
    assert ask([RAW], [config("a", delete=True)], [transfer(1, "a", *DONE, delete=False)]) == ()
    assert ask([RAW], [config("a", delete=False)], [transfer(1, "a", *DONE, delete=True)])


@pytest.mark.parametrize("events", [(), (started(),), (started(), TransferFailed(attempt=1, reason="r", error="e"))])
def test_a_second_copy_that_is_pending_running_or_failed_keeps_the_file(events: tuple[Event, ...]) -> None:
    states = [transfer(1, "a", *DONE), transfer(1, "b", *events)]
    assert ask([RAW], [config("a"), config("b")], states) == ()


def test_a_copy_that_was_never_requested_keeps_the_file() -> None:
    assert ask([RAW], [config("a"), config("b")], [transfer(1, "a", *DONE)]) == ()


def test_a_destination_that_wants_other_files_does_not_keep_this_one() -> None:
    assert ask([RAW], [config("a"), config("b", "calibrated")], [transfer(1, "a", *DONE)])


def test_an_expected_calibration_keeps_the_raw_file_while_somebody_wants_it() -> None:
    wanting = [config("a"), config("b", "calibrated")]
    assert ask([RAW], wanting, [transfer(1, "a", *DONE)], expects_calibration=True) == ()
    assert ask([RAW], [config("a")], [transfer(1, "a", *DONE)], expects_calibration=True)


def test_an_undelivered_calibrated_file_keeps_the_raw_one() -> None:
    both = config("a", "raw_and_calibrated")
    assert ask([RAW, CALIBRATED], [both], [transfer(1, "a", *DONE), transfer(2, "a")]) == ()
    safe = ask([RAW, CALIBRATED], [both], [transfer(1, "a", *DONE), transfer(2, "a", *DONE)])
    assert [one.version_id for one in safe] == [1, 2]


def test_only_files_that_a_deleting_destination_received_go() -> None:
    safe = ask(
        [RAW, CALIBRATED],
        [config("a"), config("b", "calibrated", delete=False)],
        [transfer(1, "a", *DONE), transfer(2, "b", *DONE, delete=False)],
    )
    assert [one.version_id for one in safe] == [1]


def test_nobody_waits_for_a_cancelled_copy_and_it_justifies_nothing() -> None:
    configs = [config("a"), config("b")]
    safe = ask([RAW], configs, [transfer(1, "a", *DONE), transfer(1, "b", CANCELLED)])
    assert safe == (SafeToDelete("m31", 1, ("v1-a",)),)
    assert ask([RAW], configs, [transfer(1, "a", CANCELLED), transfer(1, "b", CANCELLED)]) == ()


def test_a_deleted_destination_wants_nothing_more() -> None:
    assert ask([RAW], [config("a"), config("b", deleted=True)], [transfer(1, "a", *DONE)])


def test_a_copy_still_on_its_way_to_a_destination_no_longer_selected_keeps_the_file() -> None:
    assert ask([RAW], [config("a")], [transfer(1, "a", *DONE), transfer(1, "former", started())]) == ()


def test_a_completed_transfer_without_a_checksum_proves_nothing() -> None:
    blind = transfer(1, "a", started(), msgspec.structs.replace(completed(), verified={}))
    assert ask([RAW], [config("a")], [blind]) == ()


def test_a_file_that_nobody_wants_stays() -> None:
    assert ask([RAW], [], []) == ()


@pytest.mark.parametrize("outcome", ["missing", "changed"])
def test_s54_s60_a_copy_that_was_found_missing_or_changed_keeps_the_file(outcome: CopyState) -> None:
    lost = transfer(1, "b", *DONE, TransferCheckRequested(), TransferChecked(outcome=outcome))
    configs, good = [config("a"), config("b")], transfer(1, "a", *DONE)
    assert ask([RAW], configs, [good, lost]) == ()
    asked_again = transfer(1, "b", *DONE, TransferCheckRequested(), TransferChecked(outcome=outcome), AGAIN)
    assert ask([RAW], configs, [good, asked_again]) == (), "a new wish to look makes nothing good"
    reason = still_wanted(
        [RAW], {one.id: one for one in configs}, {"v1-a": good, "v1-b": lost}, expects_calibration=False
    )
    assert reason == f"the copy of the transfer v1-b is {outcome}"


def test_s54_s60_a_copy_that_was_found_again_counts_again() -> None:
    found = transfer(1, "a", *DONE, AGAIN, TransferChecked(outcome="missing"), AGAIN, FOUND)
    assert ask([RAW], [config("a")], [found])


def test_s54_s60_a_destination_that_could_not_be_asked_changes_nothing() -> None:
    failed = TransferCheckFailed(failures=1, reason="r", error="GiveUp")
    assert ask([RAW], [config("a")], [transfer(1, "a", *DONE, AGAIN, failed)])
