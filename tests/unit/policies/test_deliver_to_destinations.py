"""Every file goes to every destination of its observation that wants its kind, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from adapters.event_store.memory import MemoryEventLog
from application.policies.deliver_to_destinations import DeliverToDestinations
from domain import accounts, frames, observations, storage_configs
from domain.accounts import AccountChanged, AccountCreated
from domain.event import Event, Recorded
from domain.frames import CalibrationCompleted, FileDeletedFromServer, FrameVersion
from domain.observations import DestinationsSelected
from domain.storage_configs import FileContent, StorageConfigDeleted, StorageConfigDisabled, StorageConfigEdited
from domain.transfer_events import TransferRequested
from tests.fakes.clock import StillClock
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import arrived, config_created, configured, file_processed, record, submitted, version
from tests.unit.policies.running import replay, run


class CountedLog(MemoryEventLog):
    """Counts the loads."""

    loads = 0

    def load_many(self, streams: Sequence[str]) -> Mapping[str, Sequence[Recorded]]:
        self.loads += bool(streams)
        return super().load_many(streams)


@pytest.fixture
def log() -> CountedLog:
    return CountedLog()


@pytest.fixture
def policy(log: CountedLog) -> DeliverToDestinations:
    return DeliverToDestinations(log, LogLookups(log, StillClock()))


def calibrate(log: CountedLog, raw: str, calibrated: str, version_id: int) -> None:
    arrived(log, file_processed(calibrated, version(version_id), observation="obs", calibrated_from=raw))
    done = CalibrationCompleted(calibrated=calibrated, version_id=version_id, observation="obs")
    record(log, frames.stream_of(raw), done)


def requests(events: list[Event]) -> list[TransferRequested]:
    found = [event for event in events if isinstance(event, TransferRequested)]
    assert len(found) == len(events)
    return found


def ids(events: list[Event]) -> list[str]:
    return sorted(request.id for request in requests(events))


def test_a_raw_file_is_requested_with_all_settings_as_of_now(log: CountedLog, policy: DeliverToDestinations) -> None:
    configured(log, "a", delete=True)
    submitted(log, "obs", "a")
    position = arrived(log, file_processed("m31", version(1), observation="obs"))
    (request,) = requests(run(policy, log))
    assert request == TransferRequested(
        id="v1-a",
        storage_config="a",
        provider="folder",
        frame="m31",
        frame_id=1000,
        version_id=1,
        filename="m31.fits",
        content="raw",
        destination_path="/fits-data/M31/m31.fits",
        store_path="files/1.fits",
        store_key="key-1",
        md5=version(1).md5,
        size=version(1).size,
        hashes=version(1).hashes,
        observation="obs",
        owner="ana",
        delete_from_server=True,
    )
    (stored,) = log.load("transfer:v1-a")
    assert (stored.cause.actor, stored.cause.causation) == ("policy:DeliverToDestinations", position)
    assert stored.cause.correlation == "request-1"


def test_a_file_of_an_observation_known_by_number_is_delivered_too(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "a")
    submitted(log, "42", "a")
    arrived(log, file_processed("m31", version(1), number=42))
    assert ids(run(policy, log)) == ["v1-a"]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [("raw", ["v1-a"]), ("calibrated", ["v2-a"]), ("raw_and_calibrated", ["v1-a", "v2-a"])],
)
def test_s15_each_destination_gets_the_kind_of_file_it_wants(
    log: CountedLog, policy: DeliverToDestinations, content: FileContent, wanted: list[str]
) -> None:
    configured(log, "a", content)
    submitted(log, "obs", "a")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    calibrate(log, "m31", "m31-e91", 2)
    assert ids(run(policy, log)) == wanted


def test_s19_a_calibrated_file_says_so_in_its_name(log: CountedLog, policy: DeliverToDestinations) -> None:
    configured(log, "a", "calibrated")
    submitted(log, "obs", "a")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    calibrate(log, "m31", "m31-e91", 2)
    (request,) = requests(run(policy, log))
    assert (request.content, request.frame) == ("calibrated", "m31-e91")
    assert request.destination_path == "/fits-data/M31/m31-e91_calibrated.fits"


def test_a_calibrated_file_by_itself_is_not_a_raw_file(log: CountedLog, policy: DeliverToDestinations) -> None:
    configured(log, "a")
    submitted(log, "obs", "a")
    arrived(log, file_processed("m31-e91", version(2), observation="obs", level=91))
    assert run(policy, log) == []


def test_all_destinations_of_an_observation_get_their_copy(log: CountedLog, policy: DeliverToDestinations) -> None:
    for name in ("a", "b", "c"):
        configured(log, name)
    submitted(log, "obs", "a", "b", "c")
    arrived(log, file_processed("m31", version(1), version(2, extension=".fits.fz"), observation="obs"))
    assert ids(run(policy, log)) == ["v1-a", "v1-b", "v1-c", "v2-a", "v2-b", "v2-c"]


def test_nothing_is_requested_where_nobody_selected_a_destination(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "a")
    submitted(log, "obs")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    arrived(log, file_processed("m32", version(2), observation="unknown"))
    arrived(log, file_processed("bias", version(3)))
    assert run(policy, log) == []


def test_s33_a_disabled_destination_still_gets_what_it_was_selected_for(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "a")
    submitted(log, "obs", "a")
    record(log, storage_configs.stream_of("a"), StorageConfigDisabled())
    arrived(log, file_processed("m31", version(1), observation="obs"))
    assert ids(run(policy, log)) == ["v1-a"]


def test_a_deleted_or_unknown_destination_gets_nothing(log: CountedLog, policy: DeliverToDestinations) -> None:
    configured(log, "a")
    record(log, storage_configs.stream_of("a"), StorageConfigDeleted())
    submitted(log, "obs", "a", "never-there")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    assert run(policy, log) == []


def test_s31_s32_an_edit_does_not_touch_what_was_requested_before(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "a")
    submitted(log, "obs", "a")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    run(policy, log)
    moved = config_created("a", template="elsewhere").settings
    record(log, storage_configs.stream_of("a"), StorageConfigEdited(settings=moved, options={}))
    arrived(log, file_processed("m32", version(2), observation="obs"))
    (later,) = requests(run(policy, log))
    assert later.destination_path == "/fits-data/elsewhere/m32.fits"
    assert len(log.load("transfer:v1-a")) == 1


def test_selecting_destinations_delivers_the_files_that_arrived_before(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "a")
    configured(log, "b", "raw_and_calibrated")
    submitted(log, "obs", "a")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    arrived(log, file_processed("m31", version(3), observation="obs"))
    arrived(log, file_processed("m32", version(4), observation="obs"))
    calibrate(log, "m31", "m31-e91", 5)
    run(policy, log)
    record(log, observations.stream_of("obs"), DestinationsSelected(id="obs", destinations=("a", "b")))
    assert ids(run(policy, log)) == ["v3-b", "v4-b", "v5-b"], "the newest version of each file"


def test_a_file_that_has_left_the_server_cannot_be_delivered_any_more(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "a")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    run(policy, log)
    left = FileDeletedFromServer(frame_id=1000, version_id=1, path="p", key="k", justified_by=("v1-z",))
    record(log, frames.stream_of("m31"), left)
    submitted(log, "obs")
    record(log, observations.stream_of("obs"), DestinationsSelected(id="obs", destinations=("a",)))
    run(policy, log)
    assert not log.load("transfer:v1-a")


def test_seeing_everything_again_changes_nothing(log: CountedLog, policy: DeliverToDestinations) -> None:
    configured(log, "a", "raw_and_calibrated")
    submitted(log, "obs", "a")
    for number in (1, 2):
        arrived(log, file_processed("m31", version(number), observation="obs"))
    calibrate(log, "m31", "m31-e91", 5)
    assert len(run(policy, log)) == 3
    assert replay(policy, log) == []


def test_the_same_event_twice_in_a_batch_is_one_request(log: CountedLog, policy: DeliverToDestinations) -> None:
    configured(log, "a")
    submitted(log, "obs", "a")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    batch = log.read(0, 100).events
    assert len(policy.react([*batch, *batch], frozenset(), StillClock().now())) == 1


def test_a_second_version_of_the_same_name_lands_beside_the_first(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "a")
    submitted(log, "obs", "a")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    run(policy, log)
    arrived(log, file_processed("m31", version(2), observation="obs"))
    (second,) = requests(run(policy, log))
    assert second.destination_path == "/fits-data/M31/m31~v2.fits"


def test_of_two_equal_names_in_one_batch_the_first_keeps_the_name(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "a")
    submitted(log, "obs", "a")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    arrived(log, file_processed("M31", version(2), observation="obs"))
    paths = [request.destination_path for request in requests(run(policy, log))]
    assert paths == ["/fits-data/M31/m31.fits", "/fits-data/M31/M31~v2.fits"]


def test_a_night_that_is_delivered_again_finds_a_place_for_every_file(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "a")
    submitted(log, "obs", "a")
    for number in range(1, 51):
        arrived(log, file_processed(f"m31-{number}", version(number), observation="obs"))
    run(policy, log)
    for number in range(1, 51):
        arrived(log, file_processed(f"m31-{number}", version(100 + number), observation="obs"))
    paths = [request.destination_path for request in requests(run(policy, log))]
    assert paths == [f"/fits-data/M31/m31-{number}~v{100 + number}.fits" for number in range(1, 51)]


def test_a_name_that_looks_like_the_place_beside_another_is_avoided(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "a")
    submitted(log, "obs", "a")
    for basename, number in (("m31", 1), ("m31~v3", 2), ("m31", 3)):
        arrived(log, file_processed(basename, version(number), observation="obs"))
    paths = [request.destination_path for request in requests(run(policy, log))]
    assert len(set(paths)) == 3


def test_absurd_names_of_people_and_targets_do_not_stop_the_delivery(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    record(log, storage_configs.stream_of("a"), config_created("a", template="$PROJECT/$TARGET/$USER/$PROJECT/$TARGET"))
    long = observations.ObservationSubmitted(id="obs", owner="u" * 150, name="n", project="../" * 99, target="ΐ" * 400)
    selected = DestinationsSelected(id="obs", destinations=("a",))
    record(log, accounts.stream_of("u" * 150), AccountCreated(username="u" * 150))
    record(log, observations.stream_of("obs"), long, selected)
    arrived(log, file_processed("m31", version(1), observation="obs"))
    (request,) = requests(run(policy, log))
    assert len(request.destination_path.encode()) <= 1024


def test_a_batch_costs_the_same_few_loads_however_many_files_it_has(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "a")
    submitted(log, "obs", "a")
    for number in range(1, 101):
        arrived(log, file_processed(f"m31-{number}", version(number), observation="obs"))
    batch = log.read(0, 500).events
    log.loads = 0
    assert len(policy.react(batch, frozenset(), StillClock().now())) == 100
    assert log.loads <= 5


def test_events_of_observations_that_nobody_submitted_cost_one_load(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    for number in range(1, 101):
        arrived(log, file_processed(f"m31-{number}", version(number), number=number))
    batch = log.read(0, 500).events
    log.loads = 0
    assert policy.react(batch, frozenset(), StillClock().now()) == []
    assert log.loads == 1


def test_a_version_that_another_program_stored_is_requested_without_size_and_checksums(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "a")
    submitted(log, "obs", "a")
    stored: FrameVersion = version(1, known=False)
    arrived(log, file_processed("m31", stored, observation="obs"))
    (request,) = requests(run(policy, log))
    assert (request.size, request.hashes, request.md5) == (None, None, stored.md5)


def guessed(log: CountedLog, number: int) -> None:
    """Somebody without proposals submits an observation by a number that isn't theirs."""
    record(log, accounts.stream_of("eve"), AccountCreated(username="eve"))
    submission = observations.ObservationSubmitted(id=str(number), owner="eve", name="n", number=number)
    selected = DestinationsSelected(id=str(number), destinations=("eves",))
    record(log, observations.stream_of(str(number)), submission, selected)


def test_a_file_that_was_assigned_elsewhere_is_not_its_numbers(log: CountedLog, policy: DeliverToDestinations) -> None:
    """Its headers have the number; whoever ingested it said to which observation it belongs."""
    configured(log, "eves")
    submitted(log, "obs")
    arrived(log, file_processed("m31", version(1), number=42, observation="obs"))
    guessed(log, 42)
    assert requests(run(policy, log)) == []


def test_a_calibrated_file_that_was_assigned_elsewhere_does_not_go_with_its_raw_frame(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    configured(log, "eves", "raw_and_calibrated")
    submitted(log, "obs")
    guessed(log, 42)
    arrived(log, file_processed("m31", version(1), number=42))
    arrived(log, file_processed("m31-e91", version(2), observation="obs", calibrated_from="m31"))
    done = CalibrationCompleted(calibrated="m31-e91", version_id=2, observation="42")
    record(log, frames.stream_of("m31"), done)
    assert requests(run(policy, log)) == []


def test_a_later_version_that_is_only_numbered_is_not_assigned(log: CountedLog, policy: DeliverToDestinations) -> None:
    configured(log, "eves")
    submitted(log, "obs")
    arrived(log, file_processed("m31", version(1), observation="obs"))
    arrived(log, file_processed("m31", version(2), number=42))
    guessed(log, 42)
    assert requests(run(policy, log)) == []


def test_nobody_whose_account_is_not_active_gets_a_file(log: CountedLog, policy: DeliverToDestinations) -> None:
    configured(log, "a")
    submitted(log, "obs", "a")
    gone = AccountChanged(is_superuser=False, is_staff=False, active=False, proposals=("PROP-1",))
    record(log, accounts.stream_of("ana"), gone)
    arrived(log, file_processed("m31", version(1), observation="obs"))
    assert requests(run(policy, log)) == []


def test_a_calibrated_file_of_two_observations_goes_by_the_rights_of_each(
    log: CountedLog, policy: DeliverToDestinations
) -> None:
    """They come in one batch; what one's owner may have is nothing to the other's."""
    configured(log, "a", "raw_and_calibrated")
    configured(log, "eves", "raw_and_calibrated")
    guessed(log, 42)
    submitted(log, "obs", "a")
    arrived(log, file_processed("master", version(3), observation="obs", calibrated_from="m31"))
    for raw, observation in (("m32", "42"), ("m31", "obs")):
        done = CalibrationCompleted(calibrated="master", version_id=3, observation=observation)
        record(log, frames.stream_of(raw), done)
    assert ids(run(policy, log)) == ["v3-a"]
