"""What the broker is told, and what isn't forgotten."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
import pytest

from adapters.event_store.memory import MemoryEventLog
from application.policies.publish_archived import PublishArchived
from application.policies.runner import PolicyRunner
from application.ports.broker import Message
from application.ports.event_log import Commit, Write
from domain.errors import RetryLater
from domain.event import Cause
from domain.frames import FrameAmended
from tests.fakes.clock import NOON, StillClock
from tests.fakes.jobs import ListedDeadLetters
from tests.fakes.samples import arrived, file_processed, record, version
from tests.unit.policies.running import run


class FlakyBroker:
    """Confirms `room` messages, then is away until it gets more room."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.got: list[str] = []

    def publish(self, messages: Sequence[Message]) -> int:
        if not self.room:
            raise RetryLater("Away.")
        taken = messages[: self.room]
        self.room -= len(taken)
        self.got += [json.loads(message.body)["basename"] for message in taken]
        return len(taken)


def test_e06_a_broker_that_goes_away_in_the_middle_gets_the_rest_when_it_is_back_and_nothing_twice() -> None:
    log, broker, dead = MemoryEventLog(), FlakyBroker(room=2), ListedDeadLetters()
    for number in range(1, 6):
        arrived(log, file_processed(f"f{number}", version(number)))
    runner = PolicyRunner(PublishArchived(broker, "string"), log, StillClock(), dead)
    batch = log.read(0, 500)
    for _ in range(3):
        with pytest.raises(RetryLater):
            runner.advance(batch.events, batch.upto)
    assert runner.position == 0
    broker.room = 100
    runner.advance(batch.events, batch.upto)
    assert broker.got == ["f1", "f2", "f3", "f4", "f5"]
    assert log.checkpoint("policy:PublishArchived") == batch.upto
    assert not dead.letters


def test_e06_an_event_that_makes_no_message_is_set_aside_and_the_others_are_told_once() -> None:
    log, broker, dead = MemoryEventLog(), FlakyBroker(), ListedDeadLetters()
    arrived(log, file_processed("f1", version(1)))
    broken = msgspec.structs.replace(file_processed("f2", version(2)), headers=msgspec.Raw(b"[1]"))
    record(log, "frame:f2", broken)
    arrived(log, file_processed("f3", version(3)))
    runner = PolicyRunner(PublishArchived(broker, "string"), log, StillClock(), dead)
    batch = log.read(0, 500)
    runner.advance(batch.events, batch.upto)
    assert broker.got == ["f1", "f3"]
    assert len(dead.letters) == 1


def test_e07_metadata_and_imported_frames_are_not_told() -> None:
    log, broker = MemoryEventLog(), FlakyBroker()
    processed = file_processed("f1", version(1))
    record(log, "frame:f0", FrameAmended(frame_id=1, record=processed.record, headers=processed.headers))
    cause = Cause(actor="ops", via="import")
    log.append(Commit(writes=(Write("frame:f1", 0, (processed,)),), cause=cause, at=NOON))
    run(PublishArchived(broker, "string"), log)
    assert broker.got == []
    arrived(log, file_processed("f2", version(2)))
    run(PublishArchived(broker, "string"), log)
    assert broker.got == ["f2"]
