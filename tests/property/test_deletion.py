"""The source is never deleted before every copy that anybody wants is proved (S54), for any state of the world."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from domain import storage_configs, transfers
from domain.deletion import FileInQuestion, safe_deletions
from domain.event import Event
from domain.storage_configs import FileContent, StorageConfig, StorageConfigDeleted, StorageConfigDisabled
from domain.transfer_events import (
    TransferAttemptFailed,
    TransferCancelled,
    TransferChecked,
    TransferCompleted,
    TransferFailed,
    TransferHeld,
    TransferInterrupted,
    TransferReleased,
    TransferRetried,
)
from domain.transfers import Transfer
from tests.fakes.clock import NOON
from tests.fakes.samples import completed, config_created, recorded, started, transfer_requested

LATER = TransferAttemptFailed(attempt=1, failures=1, reason="r", error="e", next_attempt_at=NOON)
HELD = TransferHeld(reason="Full.", paused=True)
FAILED = TransferFailed(attempt=1, reason="r", error="e")
CANCELLED = TransferCancelled(reason="r")
BLIND = TransferCompleted(attempt=1, destination_path="/x", remote_id="r", bytes_sent=1, verified={})
DONE = "done"
GONE = "cancelled"
LIVES: dict[str, tuple[Event, ...]] = {
    "pending": (),
    "running": (started(),),
    "waiting": (started(), LATER),
    "held": (HELD,),
    "interrupted": (started(), TransferInterrupted(attempt=1, reason="lost")),
    "failed": (started(), FAILED),
    "retried": (started(), FAILED, TransferRetried()),
    "unproved": (started(), BLIND),
    GONE: (CANCELLED,),
    "cancelled while running": (started(), CANCELLED),
    DONE: (started(), completed()),
    "given up": (started(), FAILED, CANCELLED),
    "lost and given up": (started(), completed(), TransferChecked(outcome="missing"), CANCELLED),
    "done in the end": (HELD, TransferReleased(), started(), LATER, started(2), completed(2)),
}
CONTENTS: list[FileContent] = ["raw", "calibrated", "raw_and_calibrated"]
NAMES = ("a", "b", "c", "d")
FILES = (
    FileInQuestion("m31", 1, "raw"),
    FileInQuestion("m31", 2, "raw"),
    FileInQuestion("m31-e91", 3, "calibrated"),
    FileInQuestion("m31-e92", 4, "calibrated"),
)

WISHES = st.fixed_dictionaries(
    {
        "content": st.sampled_from(CONTENTS),
        "delete": st.booleans(),
        "gone": st.sampled_from([False, False, False, True]),
        "enabled": st.booleans(),
    }
)
WORLDS = st.fixed_dictionaries(
    {
        "files": st.sets(st.sampled_from(FILES), min_size=1),
        "selected": st.dictionaries(st.sampled_from(NAMES), WISHES),
        "calibration_expected": st.booleans(),
        # mostly finished, so that deletions do happen
        "lives": st.fixed_dictionaries(
            {
                (file.version_id, name): st.one_of(
                    st.none(),
                    st.just(DONE),
                    st.just(DONE),
                    st.just("done in the end"),
                    st.just(DONE),
                    st.sampled_from(sorted(LIVES)),
                )
                for file in FILES
                for name in NAMES
            }
        ),
        "asked_to_delete": st.sets(st.sampled_from(NAMES)),
    }
)


def config(name: str, wish: dict[str, object]) -> StorageConfig:
    content = next(one for one in CONTENTS if one == wish["content"])
    events: list[Event] = [config_created(name, content, delete=bool(wish["delete"]))]
    if not wish["enabled"]:
        events.append(StorageConfigDisabled())
    if wish["gone"]:
        events.append(StorageConfigDeleted())
    return storage_configs.fold(recorded(*events))


def specification(world: dict) -> set[int]:  # type: ignore[type-arg]
    """S54 in words: 'a file is deleted only when every transfer of it, raw and calibrated, that any destination
    wants, is completed with a verified checksum, and at least one of those destinations asks for deletion; never
    while one is pending, in progress, failed or still expected'."""
    living = {name: wish for name, wish in world["selected"].items() if not wish["gone"]}
    wanted_kinds = {
        "raw": [name for name, wish in living.items() if wish["content"] != "calibrated"],
        "calibrated": [name for name, wish in living.items() if wish["content"] != "raw"],
    }
    if world["calibration_expected"] and wanted_kinds["calibrated"]:
        return set()
    proved = {DONE, "done in the end"}
    dropped = {GONE, "cancelled while running", "given up", "lost and given up"}
    for file in world["files"]:
        for name in NAMES:
            life = world["lives"][file.version_id, name]
            if life is None:
                if name in wanted_kinds[file.content]:
                    return set()  # still expected
            elif life not in proved | dropped:
                return set()
    return {
        file.version_id
        for file in world["files"]
        if any(world["lives"][file.version_id, name] in proved and name in world["asked_to_delete"] for name in NAMES)
    }


@settings(max_examples=300, deadline=None)
@given(WORLDS)
def test_s54_what_may_be_deleted_is_exactly_what_the_contract_says(world: dict) -> None:  # type: ignore[type-arg]
    states: dict[str, Transfer] = {}
    for file in world["files"]:
        for name in NAMES:
            life = world["lives"][file.version_id, name]
            if life is not None:
                request = transfer_requested(file.version_id, name, delete=name in world["asked_to_delete"])
                states[request.id] = transfers.fold(recorded(request, *LIVES[life]))
    safe = safe_deletions(
        world["files"],
        {name: config(name, wish) for name, wish in world["selected"].items()},
        states,
        expects_calibration=world["calibration_expected"],
    )
    assert {one.version_id for one in safe} == specification(world)
    for one in safe:
        assert one.justified_by, "a deletion always names what justifies it"
        for transfer in one.justified_by:
            state = states[transfer]
            assert state.status == "completed"
            assert state.completed is not None
            assert state.completed.verified
            assert state.request is not None
            assert state.request.version_id == one.version_id
