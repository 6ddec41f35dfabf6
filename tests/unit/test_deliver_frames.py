"""Frames that are there already go to a destination, once, and only what the asker may see (S37)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import pytest

from adapters.event_store.memory import MemoryEventLog
from adapters.sky.spherical_sky import SphericalSky
from application.commands.deliver_frames import BATCH, Backfill, Tally
from application.frame_matching import FrameMatcher
from application.permissions import ANONYMOUS, Principal
from application.policies.delete_when_all_delivered import DeleteWhenAllDelivered
from application.ports.event_log import Commit
from domain import frames, groups, storage_configs, transfers
from domain.errors import InvalidInput, NotFound, Unauthenticated
from domain.frame_query import FrameQuery
from domain.frames import CopyWanted, FileDeletedFromServer, FileProcessed, FrameVersion
from domain.groups import GroupCreated, MemberSet
from domain.storage_configs import StorageConfigDeleted, StorageConfigDisabled
from domain.transfer_events import TransferCancelled, TransferFailed, TransferRequested
from tests.fakes.clock import NOON, StillClock
from tests.fakes.matches import LogMatches
from tests.fakes.samples import (
    CAUSE,
    arrived,
    config_created,
    configured,
    delivered,
    file_processed,
    record,
    started,
    submitted,
    transfer_state,
    version,
)
from tests.unit.policies.running import run as run_policy

ANA = Principal("ana", proposals=("PROP-1",))
EVERYTHING = FrameQuery()


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog()


def backfill(
    log: MemoryEventLog,
    wanted: FrameQuery | str = EVERYTHING,
    *,
    who: Principal = ANA,
    config: str = "a",
    dry_run: bool = False,
) -> Backfill:
    matcher = FrameMatcher(SphericalSky())
    return Backfill(
        log=log,
        found=LogMatches(log, matcher),
        matcher=matcher,
        clock=StillClock(),
        cause=CAUSE,
        principal=who,
        storage_config=config,
        wanted=wanted,
        dry_run=dry_run,
    )


def run(carrying: Backfill) -> Tally:
    tally = Tally()
    for _, batch, _ in carrying.batches():
        tally += batch
    return tally


def observed(
    basename: str,
    version_id: int,
    *,
    proposal: str = "PROP-1",
    public: datetime | None = None,
    observation: str | None = None,
    level: int = 0,
    known: bool = True,
) -> FileProcessed:
    """A file with all that a visible frame has."""
    event = file_processed(basename, version(version_id, known=known), observation=observation, level=level)
    changed = msgspec.structs.replace(event.record, observation_date=NOON, proposal_id=proposal, public_date=public)
    return msgspec.structs.replace(event, record=changed)


def requests(log: MemoryEventLog) -> dict[str, TransferRequested]:
    events = [recorded.event for recorded in log.read(0, 100_000).events]
    return {event.id: event for event in events if isinstance(event, TransferRequested)}


def test_s37_a_query_is_counted_first_and_then_delivered_with_its_bytes(log: MemoryEventLog) -> None:
    configured(log, "a")
    for number in (1, 2):
        arrived(log, observed(f"m{number}", number))
    arrived(log, observed("bias", 3))
    query = FrameQuery(basename="M")
    head = log.head()
    size = sum(version(number).size or 0 for number in (1, 2))
    counted = run(backfill(log, query, dry_run=True))
    assert counted == Tally(frames=2, files=2, bytes=size)
    assert log.head() == head, "a dry run writes nothing"
    assert run(backfill(log, query)) == counted
    assert sorted(requests(log)) == ["v1-a", "v2-a"]
    request = requests(log)["v1-a"]
    assert (request.owner, request.destination_path, request.observation) == ("ana", "/fits-data/M31/m1.fits", None)


def test_s37_repeating_it_counts_what_there_is_by_status_and_changes_nothing(log: MemoryEventLog) -> None:
    configured(log, "a")
    for number in range(1, 6):
        arrived(log, observed(f"m{number}", number))
    run(backfill(log))
    delivered(log, "v1-a")
    record(log, "transfer:v2-a", started())
    record(log, "transfer:v3-a", started(), TransferFailed(attempt=1, reason="r", error="e"))
    record(log, "transfer:v4-a", TransferCancelled(reason="r"))
    head = log.head()
    again = run(backfill(log))
    assert (again.frames, again.files, again.bytes) == (5, 0, 0)
    assert again.already == {"completed": 1, "in_progress": 1, "failed": 1, "cancelled": 1, "pending": 1}
    assert log.head() == head


def test_s37_one_sees_to_it_that_nobody_gets_what_they_may_not_see(log: MemoryEventLog) -> None:
    configured(log, "a")
    yesterday, tomorrow = NOON - timedelta(days=1), NOON + timedelta(days=1)
    arrived(log, observed("own", 1, public=tomorrow))
    arrived(log, observed("public", 2, proposal="OTHER", public=yesterday))
    arrived(log, observed("secret", 3, proposal="OTHER", public=tomorrow))
    arrived(log, file_processed("undated", version(4)))
    assert run(backfill(log)).frames == 2
    assert sorted(requests(log)) == ["v1-a", "v2-a"]


def test_s37_the_last_look_is_at_the_frames_own_events(log: MemoryEventLog) -> None:
    """The read model finds too much: one that has become secret, was deleted, or doesn't match any more."""
    configured(log, "a")
    arrived(log, observed("m1", 1))
    carrying = backfill(log, FrameQuery(target="M31"))
    found = list(carrying.found.of_query(FrameQuery(), ANA, NOON, after=0, limit=10))
    moved = msgspec.structs.replace(observed("m1", 1).record, target_name="NGC 7")
    record(log, "frame:m1", frames.FrameAmended(frame_id=1000, record=moved))

    class Stale(LogMatches):
        def of_query(self, *_: object, after: int, limit: int) -> list[frames.Any]:  # type: ignore[override]
            return [one for one in found if one.id > after]

    stale = Stale(log, carrying.matcher)
    assert run(msgspec.structs.replace(carrying, found=stale)) == Tally()
    assert not requests(log)


def test_s37_each_kind_goes_where_it_is_wanted_and_what_is_gone_is_counted(log: MemoryEventLog) -> None:
    record(log, storage_configs.stream_of("a"), config_created("a", "calibrated"))
    arrived(log, observed("raw", 1))
    arrived(log, observed("reduced", 2, level=91))
    arrived(log, observed("left", 3, level=91))
    left = FileDeletedFromServer(frame_id=3000, version_id=3, path="p", key="k", justified_by=("v3-z",))
    record(log, "frame:left", left)
    arrived(log, observed("foreign-made", 4, level=91, known=False))
    tally = run(backfill(log))
    assert (tally.frames, tally.files, tally.unwanted, tally.gone) == (4, 2, 1, 1)
    assert tally.files_of_unknown_size == 1
    assert requests(log)["v2-a"].destination_path == "/fits-data/M31/reduced_calibrated.fits"


def test_s37_only_the_newest_version_of_a_frame_goes(log: MemoryEventLog) -> None:
    configured(log, "a")
    arrived(log, observed("m1", 1))
    arrived(log, observed("m1", 2))
    run(backfill(log))
    assert list(requests(log)) == ["v2-a"]


def test_s37_equal_names_find_places_beside_each_other_and_beside_what_is_there(log: MemoryEventLog) -> None:
    configured(log, "a")
    arrived(log, observed("m1", 1))
    run(backfill(log))
    arrived(log, observed("m1", 2))
    arrived(log, observed("M1", 3))
    run(backfill(log))
    paths = {request.destination_path for request in requests(log).values()}
    assert paths == {"/fits-data/M31/m1.fits", "/fits-data/M31/m1~v2.fits", "/fits-data/M31/M1~v3.fits"}


def test_s37_an_observations_files_are_named_as_the_observations(log: MemoryEventLog) -> None:
    configured(log, "a")
    record(log, storage_configs.stream_of("b"), config_created("b", template="$USER/$PROJECT/$TARGET"))
    submitted(log, "obs", "a")
    submitted(log, "other")
    arrived(log, observed("m1", 1, proposal="", observation="obs"))
    arrived(log, observed("m2", 2, observation="other"))
    assert run(backfill(log, "obs", config="b")).files == 1, (
        "assigned to the owner's observation, though no proposal is"
    )
    assert requests(log)["v1-b"].destination_path == "/fits-data/ana/Galaxy_Survey/M31/m1.fits"
    assert requests(log)["v1-b"].observation == "obs"


def test_s37_huge_results_are_written_in_batches_and_can_be_gone_on_with(log: MemoryEventLog) -> None:
    configured(log, "a")
    for number in range(1, BATCH + 8):
        arrived(log, observed(f"m{number:04}", number))
    first = next(iter(backfill(log).batches()))
    assert (first[0], first[1].files, first[2]) == (BATCH * 1000, BATCH, BATCH)
    assert len(requests(log)) == BATCH
    rest = list(backfill(log).batches(first[0]))
    assert [tally.files for _, tally, _ in rest] == [7]
    whole = run(backfill(log))
    assert (whole.files, whole.already) == (0, {"pending": BATCH + 7})


def test_s37_only_who_may_select_a_destination_can_send_anything_there(log: MemoryEventLog) -> None:
    configured(log, "a")
    arrived(log, observed("m1", 1))
    eve = Principal("eve", proposals=("PROP-1",))
    with pytest.raises(InvalidInput) as refused:
        run(backfill(log, who=eve))
    assert refused.value.field == "storage_config"
    with pytest.raises(Unauthenticated):
        run(backfill(log, who=ANONYMOUS))
    submitted(log, "obs")
    with pytest.raises(NotFound):
        run(backfill(log, "obs", who=eve))
    record(log, storage_configs.stream_of("a"), StorageConfigDisabled())
    with pytest.raises(InvalidInput, match="disabled"):
        run(backfill(log))
    record(log, storage_configs.stream_of("a"), StorageConfigDeleted())
    with pytest.raises(InvalidInput, match="There is no storage configuration a"):
        run(backfill(log))
    assert not requests(log)


def test_s37_a_projects_destination_takes_a_query_from_those_alone_who_manage_it(log: MemoryEventLog) -> None:
    project = GroupCreated(id="p", kind="project", name="Survey", owner="ana")
    member = MemberSet(username="eve", permissions=("can_view",))
    record(log, groups.stream_of("project", "p"), project, member)
    created = msgspec.structs.replace(config_created("a"), scope="project", scope_id="p")
    record(log, storage_configs.stream_of("a"), created)
    arrived(log, observed("m1", 1))
    with pytest.raises(InvalidInput, match="only for observations of its project"):
        run(backfill(log, who=Principal("eve", proposals=("PROP-1",))))
    assert run(backfill(log)).files == 1


def wish_for_deletion(log: MemoryEventLog, who: Principal) -> bool:
    configured(log, "a", delete=True)
    created = msgspec.structs.replace(config_created("b", delete=True), owner=who.username)
    record(log, storage_configs.stream_of("b"), created)
    arrived(log, observed("m1", 1, proposal="PROP-1", public=NOON - timedelta(days=1)))
    run(backfill(log, who=who, config="b"))
    return requests(log)["v1-b"].delete_from_server


@pytest.mark.parametrize(
    ("who", "counts"), [(ANA, True), (Principal("eve"), False), (Principal("root", is_superuser=True), True)]
)
def test_s54_only_a_proposals_members_can_have_its_files_deleted_after_a_backfill(
    log: MemoryEventLog, who: Principal, counts: bool
) -> None:
    assert wish_for_deletion(log, who) is counts


def test_s54_a_file_on_its_way_by_backfill_is_not_deleted_before_it_is_there(log: MemoryEventLog) -> None:
    configured(log, "a", delete=True)
    configured(log, "b")
    submitted(log, "obs", "a")
    arrived(log, observed("m1", 1, observation="obs"))
    run(backfill(log, config="a"))
    run(backfill(log, config="b"))
    delivered(log, "v1-a")
    assert run_policy(DeleteWhenAllDelivered(log), log) == []
    delivered(log, "v1-b")
    (left,) = run_policy(DeleteWhenAllDelivered(log), log)
    assert isinstance(left, FileDeletedFromServer)
    assert left.justified_by == ("v1-a", "v1-b")


def test_s54_a_file_of_no_observation_leaves_when_its_backfill_asks_for_that(log: MemoryEventLog) -> None:
    configured(log, "a", delete=True)
    arrived(log, observed("m1", 1))
    run(backfill(log))
    assert run_policy(DeleteWhenAllDelivered(log), log) == []
    delivered(log, "v1-a")
    assert [type(event) for event in run_policy(DeleteWhenAllDelivered(log), log)] == [FileDeletedFromServer]


class Interrupted(MemoryEventLog):
    """Somebody else writes between the decision and its commit, once."""

    interfere: Callable[[], None] = staticmethod(lambda: None)

    def append(self, commit: Commit) -> int:
        interfere, self.interfere = self.interfere, staticmethod(lambda: None)
        interfere()
        return super().append(commit)


def test_s37_a_file_that_leaves_the_server_in_that_moment_is_not_requested() -> None:
    log = Interrupted()
    configured(log, "a")
    arrived(log, observed("m1", 1))
    arrived(log, observed("m2", 2))
    left = FileDeletedFromServer(frame_id=1000, version_id=1, path="p", key="k", justified_by=("v1-z",))
    log.interfere = lambda: record(log, "frame:m1", left) and None
    tally = run(backfill(log))
    assert (tally.files, tally.gone) == (1, 1)
    assert list(requests(log)) == ["v2-a"]


def test_s37_a_path_that_is_taken_in_that_moment_is_given_up() -> None:
    log = Interrupted()
    configured(log, "a")
    arrived(log, observed("m1", 1))
    claim = "path:a:/fits-data/m31/m1.fits"
    log.interfere = lambda: record(log, "transfer:other", started(), claims=(claim,)) and None
    run(backfill(log))
    assert requests(log)["v1-a"].destination_path == "/fits-data/M31/m1~v1.fits"


def test_s37_the_frame_itself_knows_of_the_copy_from_the_same_commit(log: MemoryEventLog) -> None:
    configured(log, "a")
    arrived(log, observed("m1", 1))
    run(backfill(log))
    wanted = log.load("frame:m1")[-1]
    assert wanted.event == CopyWanted(version_id=1, storage_config="a")
    assert wanted.cause == log.load("transfer:v1-a")[0].cause == CAUSE
    assert transfer_state(log, "v1-a").status == "pending"
    assert frames.fold(log.load("frame:m1")).copies == {(1, "a")}


def test_a_copy_of_what_has_left_the_server_cannot_be_wanted() -> None:
    from domain.errors import NotAllowedNow

    with pytest.raises(NotAllowedNow):
        frames.want_copy(frames.Frame(), 1, "a")
    there = frames.Frame(versions=(FrameVersion(id=1, key="k", md5="m", extension=".fits"),))
    assert frames.want_copy(there, 1, "a") == (CopyWanted(version_id=1, storage_config="a"),)
    assert frames.want_copy(msgspec.structs.replace(there, copies=frozenset({(1, "a")})), 1, "a") == ()
    with pytest.raises(NotAllowedNow):
        frames.want_copy(msgspec.structs.replace(there, deleted_from_server=frozenset({1})), 1, "a")
    assert transfers.transfer_id(1, "a") == "v1-a"
