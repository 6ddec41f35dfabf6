"""The eventsourcing library's own test cases for recorders, run against ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.postgres import PostgresDatastore
from eventsourcing.tests import persistence

from adapters.event_store.recorder import StarferryRecorder, open_datastore


@pytest.fixture(autouse=True)
def _datastore(request: pytest.FixtureRequest) -> Iterator[None]:
    datastore = open_datastore(request.getfixturevalue("database"))
    request.cls.datastore = datastore
    yield
    datastore.close()


class OurRecorder:
    """Says to the library's cases what to test: streams are named by text."""

    datastore: ClassVar[PostgresDatastore]

    def create_recorder(self) -> StarferryRecorder:
        recorder = StarferryRecorder(self.datastore)
        recorder.create_table()
        return recorder

    def new_originator_id(self) -> str:
        return f"frame:{uuid4()}"


class TestApplicationRecorder(OurRecorder, persistence.ApplicationRecorderTestCase[StarferryRecorder]):  # type: ignore[misc]
    # they print times and prove nothing
    test_performance: Any = None
    test_concurrent_throughput: Any = None

    def test_insert_subscribe(self) -> None:
        """The library's own subscriptions hear of our appends."""
        self.optional_test_insert_subscribe()


class TestNonInterleavingPositions(OurRecorder, persistence.NonInterleavingNotificationIDsBaseCase):  # type: ignore[misc]
    insert_num = 1000


class TestBeyondTheLibrarysCases(OurRecorder):
    def test_an_insert_of_nothing_stores_nothing(self) -> None:
        recorder = self.create_recorder()
        assert recorder.insert_events([]) == []
        assert recorder.max_notification_id() is None

    def test_inserts_are_atomic_also_with_themselves(self) -> None:
        recorder = self.create_recorder()
        first, second, third = (StoredEvent("s", version, "topic", b"state") for version in (1, 2, 3))
        recorder.insert_events([first])
        for wrong in ([first, second], [second, second], [third, second, first]):
            with pytest.raises(IntegrityError):
                recorder.insert_events(wrong)
        assert recorder.select_events("s") == [first]
        positions = recorder.insert_events([second, third])
        notifications = recorder.select_notifications(None, 10)
        assert [one.id for one in notifications][1:] == list(positions)
        assert recorder.select_events("s", gt=1, lte=2) == [second]
        assert recorder.select_events("s", desc=True, limit=1) == [third]
