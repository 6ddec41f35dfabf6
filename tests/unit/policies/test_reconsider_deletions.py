"""A file that only waited for what a destination wants no more leaves the server, without a further delivery (S54)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from adapters.event_store.memory import MemoryEventLog
from application.policies import reconsider_deletions
from application.policies.delete_when_all_delivered import DeleteWhenAllDelivered
from application.policies.reconsider_deletions import ReconsiderDeletions
from application.ports.event_log import Commit
from domain import frames, storage_configs, transfers
from domain.errors import StarferryError
from domain.event import Event
from domain.frames import FileDeletedFromServer
from domain.observations import DestinationsSelected
from domain.storage_configs import FileContent, StorageConfigDeleted, StorageConfigEdited
from tests.fakes.clock import StillClock
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import (
    arrived,
    config_created,
    configured,
    delivered,
    file_processed,
    record,
    submitted,
    transfer_requested,
    version,
)
from tests.unit.policies.running import replay, run


@pytest.fixture
def log() -> MemoryEventLog:
    """Frames whose raw copies are at `a`, which asks for deletion, while `b` waits for their calibrated files."""
    log = MemoryEventLog()
    configured(log, "a", delete=True)
    configured(log, "b", "calibrated")
    submitted(log, "obs", "a", "b")
    for number in (1, 2, 3):
        raw_frame(log, number)
    assert run(DeleteWhenAllDelivered(log), log) == []
    return log


@pytest.fixture
def effect(log: MemoryEventLog) -> ReconsiderDeletions:
    effect = ReconsiderDeletions(log, LogLookups(log, StillClock()), StillClock())
    assert run(effect, log) == []
    return effect


def raw_frame(log: MemoryEventLog, number: int) -> None:
    arrived(log, file_processed(f"m{number}", version(number), observation="obs"))
    requested = transfer_requested(number, "a", frame=f"m{number}", delete=True)
    record(log, transfers.stream_of(requested.id), requested)
    delivered(log, requested.id)


def edited(file_content: FileContent, **others: object) -> StorageConfigEdited:
    created = config_created("b", "calibrated")
    settings = msgspec.structs.replace(created.settings, file_content=file_content, **others)
    return StorageConfigEdited(settings=settings, options=created.options)


def gone(events: Sequence[Event]) -> list[int]:
    return sorted(event.version_id for event in events if isinstance(event, FileDeletedFromServer))


def test_s54_files_that_waited_for_a_destination_leave_when_the_observation_drops_it(
    log: MemoryEventLog, effect: ReconsiderDeletions
) -> None:
    record(log, "observation:obs", DestinationsSelected(id="obs", destinations=("a",)))
    assert gone(run(effect, log)) == [1, 2, 3]
    assert log.load("frame:m1")[-1].cause.actor == "policy:DeleteWhenAllDelivered"
    assert replay(effect, log) == []


def test_s54_files_that_waited_for_a_destination_leave_when_it_is_deleted(
    log: MemoryEventLog, effect: ReconsiderDeletions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconsider_deletions, "PAGE", 2)
    record(log, "storage_config:b", StorageConfigDeleted())
    assert gone(run(effect, log)) == [1, 2, 3]


def test_s54_files_that_waited_for_a_destination_leave_when_it_is_to_take_others(
    log: MemoryEventLog, effect: ReconsiderDeletions
) -> None:
    record(log, "storage_config:b", edited("raw_and_calibrated"))
    record(log, "storage_config:b", edited("raw_and_calibrated", comment="more"))
    assert gone(run(effect, log)) == [], "it wants more, not less"
    record(log, "storage_config:b", edited("raw"))
    assert gone(run(effect, log)) == [], "it is to get the raw files, too"
    record(log, "storage_config:a", StorageConfigDeleted())
    record(log, "observation:obs", DestinationsSelected(id="obs", destinations=()))
    assert gone(run(effect, log)) == [1, 2, 3]


def test_a_file_that_another_destination_waits_for_stays(log: MemoryEventLog, effect: ReconsiderDeletions) -> None:
    configured(log, "c", "calibrated")
    record(log, "observation:obs", DestinationsSelected(id="obs", destinations=("a", "b", "c")))
    record(log, "observation:obs", DestinationsSelected(id="obs", destinations=("a", "c")))
    assert run(effect, log) == []


def test_a_frame_that_has_grown_since_is_left_to_what_comes_of_it(
    log: MemoryEventLog, effect: ReconsiderDeletions
) -> None:
    record(log, "storage_config:b", StorageConfigDeleted())
    raw_frame(log, 4)
    assert gone(run(effect, log)) == [1, 2, 3]
    assert gone(run(DeleteWhenAllDelivered(log), log)) == [4]


def test_s54_a_frame_that_was_to_get_there_by_a_standing_delivery_is_found_too(
    log: MemoryEventLog, effect: ReconsiderDeletions
) -> None:
    configured(log, "s", "raw_and_calibrated")
    record(log, "frame:m1", *frames.want_copy(frames.fold(log.load("frame:m1")), 1, "s"))
    requested = transfer_requested(1, "s", frame="m1")
    record(log, transfers.stream_of(requested.id), requested)
    delivered(log, requested.id)
    record(log, "observation:obs", DestinationsSelected(id="obs", destinations=("a",)))
    assert gone(run(effect, log)) == [2, 3]
    record(log, "storage_config:s", *storage_configs.delete(storage_configs.fold(log.load("storage_config:s"))))
    assert gone(run(effect, log)) == [1]


def test_a_decision_that_was_overtaken_is_taken_again(
    log: MemoryEventLog, effect: ReconsiderDeletions, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, overtaken = log.append_all, []

    def somebody_is_faster(commits: Sequence[Commit]) -> list[int | StarferryError]:
        if not overtaken:
            overtaken.append(configured(log, "c", "calibrated"))
            record(log, "observation:obs", DestinationsSelected(id="obs", destinations=("a", "c")))
        return append(commits)

    monkeypatch.setattr(log, "append_all", somebody_is_faster)
    record(log, "storage_config:b", StorageConfigDeleted())
    assert gone(run(effect, log)) == []
    assert overtaken
