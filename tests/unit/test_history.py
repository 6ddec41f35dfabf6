"""A frame's life names nobody else's transfers."""

from __future__ import annotations

from adapters.event_store.memory import MemoryEventLog
from application.history import frame_life
from domain.frames import CopyWanted, FileDeletedFromServer
from tests.fakes.samples import arrived, file_processed, record, version


def test_what_justified_a_deletion_is_told_to_those_who_may_see_it() -> None:
    log = MemoryEventLog()
    arrived(log, file_processed("m31", version(1)))
    record(log, "frame:m31", CopyWanted(version_id=1, storage_config="theirs"))
    gone = FileDeletedFromServer(frame_id=1, version_id=1, path="p", key="k", justified_by=("v1-mine", "v1-theirs"))
    record(log, "frame:m31", gone)

    def told(*transfers: str) -> list[object]:
        return [entry.data.get("justified_by") for entry in frame_life(log, transfers, "m31")]

    assert told("v1-mine") == [None, ["v1-mine"]]
    assert told() == [None, []]
    assert told("v1-mine", "v1-theirs") == [None, None, ["v1-mine", "v1-theirs"]]
