"""What a reaction reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.event_store.memory import MemoryEventLog
from application.policies.reading import Reading
from domain import storage_configs
from domain.event import Recorded
from domain.storage_configs import StorageConfigDeleted
from tests.fakes.samples import configured, record

ONE, OTHER, MISSING = (storage_configs.stream_of(name) for name in ("one", "other", "missing"))


class CountedLog(MemoryEventLog):
    """Notes what is read together."""

    def __init__(self) -> None:
        super().__init__()
        self.read_together: list[list[str]] = []

    def load_many(self, streams: Sequence[str]) -> Mapping[str, Sequence[Recorded]]:
        self.read_together.append(list(streams))
        return super().load_many(streams)


def test_streams_are_read_together_and_once() -> None:
    log = CountedLog()
    for name in ("one", "other"):
        configured(log, name)
    log.read_together.clear()
    reading = Reading(log)
    reading.ahead([ONE, MISSING, ONE])
    assert reading.has(ONE)
    assert not reading.has(MISSING)
    assert reading.state(MISSING, storage_configs.fold) == storage_configs.fold(())
    assert reading.state(OTHER, storage_configs.fold).exists
    assert reading.state(OTHER, storage_configs.fold) is reading.state(OTHER, storage_configs.fold)
    assert log.read_together == [[ONE, MISSING], [OTHER]]


def test_what_comes_later_isnt_seen_so_that_a_guard_tells() -> None:
    log = MemoryEventLog()
    configured(log, "one")
    reading = Reading(log)
    reading.ahead([ONE])
    record(log, ONE, StorageConfigDeleted())
    seen = reading.state(ONE, storage_configs.fold)
    assert not seen.deleted
    assert seen.stream_version < storage_configs.fold(log.load(ONE)).stream_version
