"""Frames that match a standing delivery go where it says as they arrive, to nobody who may not see them (S36)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import pytest

from adapters.event_store.memory import MemoryEventLog
from adapters.sky.spherical_sky import SphericalSky
from application.frame_matching import FrameMatcher
from application.policies.delete_when_all_delivered import DeleteWhenAllDelivered
from application.policies.deliver_standing_queries import DeliverStandingQueries
from application.policies.runner import PolicyRunner
from application.ports.event_log import Commit, Write
from domain import accounts, frames, groups, standing_deliveries, storage_configs
from domain.accounts import AccountChanged, AccountCreated
from domain.errors import RetryLater
from domain.event import Cause, Event, Recorded
from domain.footprint import Footprint
from domain.frame_query import FrameQuery
from domain.frames import CalibrationCompleted, CopyWanted, FileDeletedFromServer, FileProcessed, FrameAmended
from domain.groups import GroupCreated, MemberRemoved, MemberSet
from domain.observations import DestinationsSelected
from domain.standing_deliveries import (
    LIST,
    DeliveryRuleChanged,
    DeliveryRuleCreated,
    DeliveryRuleEnded,
    DeliveryRuleListed,
    DeliveryRuleUnlisted,
    RuleScope,
)
from domain.storage_configs import FileContent, StorageConfigDeleted
from domain.transfer_events import TransferRequested
from tests.fakes.clock import NOON, StillClock
from tests.fakes.jobs import ListedDeadLetters
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

YESTERDAY, TOMORROW = NOON - timedelta(days=1), NOON + timedelta(days=1)


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
def policy(log: CountedLog) -> DeliverStandingQueries:
    return DeliverStandingQueries(log, FrameMatcher(SphericalSky()))


def account(
    log: MemoryEventLog, name: str = "ana", *proposals: str, superuser: bool = False, active: bool = True
) -> None:
    changed = AccountChanged(is_superuser=superuser, is_staff=False, active=active, proposals=proposals)
    created = (AccountCreated(username=name),) if not log.load(accounts.stream_of(name)) else ()
    record(log, accounts.stream_of(name), *created, changed)


def rule(
    log: MemoryEventLog,
    *destinations: str,
    rule_id: str = "std-1",
    conditions: FrameQuery = FrameQuery(),  # noqa: B008 frozen
    owner: str = "ana",
    scope: RuleScope = "personal",
    scope_id: str = "",
) -> None:
    """A standing delivery; its owner is a member of PROP-1 unless they are there already."""
    if not log.load(accounts.stream_of(owner)):
        account(log, owner, "PROP-1")
    created = DeliveryRuleCreated(
        id=rule_id, owner=owner, scope=scope, scope_id=scope_id, name="n", query="q", conditions=conditions,
        destinations=destinations,
    )  # fmt: skip
    record(log, standing_deliveries.stream_of(rule_id), created)
    record(log, LIST, DeliveryRuleListed(id=rule_id))


def changed(log: MemoryEventLog, *destinations: str, paused: bool, rule_id: str = "std-1") -> None:
    event = DeliveryRuleChanged(name="n", destinations=destinations, paused=paused)
    record(log, standing_deliveries.stream_of(rule_id), event)


def ended(log: MemoryEventLog, rule_id: str = "std-1") -> None:
    record(log, standing_deliveries.stream_of(rule_id), DeliveryRuleEnded())
    record(log, LIST, DeliveryRuleUnlisted(id=rule_id))


def observed(
    basename: str,
    version_id: int,
    *,
    proposal: str = "PROP-1",
    public: datetime | None = TOMORROW,
    level: int = 0,
    observation: str | None = None,
    target: str = "M31",
    when: datetime | None = NOON,
    area: Footprint | None = None,
) -> FileProcessed:
    event = file_processed(basename, version(version_id), level=level, observation=observation)
    changes = {"proposal_id": proposal, "public_date": public, "target_name": target, "observation_date": when}
    record_ = msgspec.structs.replace(event.record, area=area, **changes)
    return msgspec.structs.replace(event, record=record_)


def requests(events: Sequence[Event]) -> list[TransferRequested]:
    return [event for event in events if isinstance(event, TransferRequested)]


def ids(events: Sequence[Event]) -> list[str]:
    return sorted(request.id for request in requests(events))


def test_s36_a_frame_that_matches_is_delivered_as_it_arrives(log: CountedLog, policy: DeliverStandingQueries) -> None:
    configured(log, "a")
    rule(log, "a", conditions=FrameQuery(target_folded="m31", reduction_level=0))
    position = arrived(log, observed("m31", 1))
    arrived(log, observed("ngc7", 2, target="NGC 7"))
    arrived(log, observed("m31-e91", 3, level=91))
    events = run(policy, log)
    assert ids(events) == ["v1-a"]
    (request,) = requests(events)
    assert (request.owner, request.destination_path) == ("ana", "/fits-data/M31/m31.fits")
    assert (request.observation, request.delete_from_server) == (None, False)
    assert CopyWanted(version_id=1, storage_config="a", standing_delivery="std-1") in events
    cause = log.load("transfer:v1-a")[0].cause
    assert (cause.actor, cause.causation) == ("policy:DeliverStandingQueries", position)
    assert cause.reason == "standing delivery std-1"
    assert log.load("frame:m31")[-1].cause == cause


@pytest.mark.parametrize(
    ("proposal", "public", "when", "gets"),
    [
        ("PROP-1", TOMORROW, NOON, True),
        ("PROP-1", None, NOON, True),
        ("OTHER", TOMORROW, NOON, False),
        ("OTHER", None, NOON, False),
        ("OTHER", YESTERDAY, NOON, True),
        ("PROP-1", YESTERDAY, None, False),
    ],
)
def test_s36_nobody_gets_what_they_may_not_see_at_that_time(
    log: CountedLog,
    policy: DeliverStandingQueries,
    proposal: str,
    public: datetime | None,
    when: datetime | None,
    gets: bool,
) -> None:
    configured(log, "a")
    rule(log, "a")
    arrived(log, observed("m31", 1, proposal=proposal, public=public, when=when))
    assert ids(run(policy, log)) == (["v1-a"] if gets else [])


def test_s36_what_counts_are_the_rights_of_that_moment(log: CountedLog, policy: DeliverStandingQueries) -> None:
    configured(log, "a")
    rule(log, "a")
    arrived(log, observed("m1", 1))
    account(log, "ana")
    assert run(policy, log) == [], "no member of the proposal any more"
    account(log, "ana", "PROP-1")
    arrived(log, observed("m2", 2))
    assert ids(run(policy, log)) == ["v2-a"]
    account(log, "ana", "PROP-1", active=False)
    arrived(log, observed("m3", 3))
    assert run(policy, log) == [], "may not come in any more"
    account(log, "ana", superuser=True)
    arrived(log, observed("m4", 4, proposal="SECRET"))
    assert ids(run(policy, log)) == ["v4-a"]


def test_s36_a_frame_that_became_secret_in_between_is_not_sent(log: CountedLog, policy: DeliverStandingQueries) -> None:
    configured(log, "a")
    rule(log, "a")
    event = observed("m31", 1, proposal="OTHER", public=YESTERDAY)
    arrived(log, event)
    secret = msgspec.structs.replace(event.record, public_date=TOMORROW)
    record(log, "frame:m31", FrameAmended(frame_id=1000, record=secret))
    assert run(policy, log) == []


def test_s36_only_what_arrives_while_it_stands_is_delivered(log: CountedLog, policy: DeliverStandingQueries) -> None:
    configured(log, "a")
    arrived(log, observed("before", 1))
    rule(log, "a")
    arrived(log, observed("first", 2))
    assert ids(run(policy, log)) == ["v2-a"]
    changed(log, "a", paused=True)
    arrived(log, observed("paused", 3))
    assert run(policy, log) == []
    arrived(log, observed("late", 4))
    changed(log, "a", paused=False)
    arrived(log, observed("again", 5))
    assert ids(run(policy, log)) == ["v5-a"]
    ended(log)
    arrived(log, observed("after", 6))
    assert run(policy, log) == []


@pytest.mark.parametrize(
    ("content", "wanted"),
    [("raw", ["v1-a"]), ("calibrated", ["v2-a"]), ("raw_and_calibrated", ["v1-a", "v2-a"])],
)
def test_s36_each_destination_gets_the_kind_of_file_it_wants(
    log: CountedLog, policy: DeliverStandingQueries, content: FileContent, wanted: list[str]
) -> None:
    configured(log, "a", content)
    rule(log, "a")
    arrived(log, observed("m31", 1))
    arrived(log, observed("m31-e91", 2, level=91))
    events = run(policy, log)
    assert ids(events) == wanted
    for request in requests(events):
        assert request.destination_path.endswith("_calibrated.fits") is (request.content == "calibrated")


def test_s36_several_standing_deliveries_and_destinations_ask_for_each_copy_once(
    log: CountedLog, policy: DeliverStandingQueries
) -> None:
    for name in ("a", "b", "c"):
        configured(log, name)
    rule(log, "a", "b")
    rule(log, "b", "c", rule_id="std-2")
    arrived(log, observed("m31", 1))
    arrived(log, observed("m31", 2))
    events = run(policy, log)
    assert ids(events) == ["v1-a", "v1-b", "v1-c", "v2-a", "v2-b", "v2-c"]
    paths = {request.destination_path for request in requests(events) if request.storage_config == "a"}
    assert paths == {"/fits-data/M31/m31.fits", "/fits-data/M31/m31~v2.fits"}
    assert frames.fold(log.load("frame:m31")).copies == {(v, c) for v in (1, 2) for c in ("a", "b", "c")}
    assert replay(policy, log) == []


def test_s36_what_an_observation_has_requested_already_is_left_alone(
    log: CountedLog, policy: DeliverStandingQueries
) -> None:
    configured(log, "a")
    rule(log, "a")
    arrived(log, observed("m31", 1))
    record(log, "transfer:v1-a", transfer_requested(1, "a"))
    assert run(policy, log) == []


def test_s36_a_destination_that_is_gone_or_somebody_elses_gets_nothing_and_the_others_theirs(
    log: CountedLog, policy: DeliverStandingQueries
) -> None:
    configured(log, "a")
    configured(log, "b")
    record(log, storage_configs.stream_of("b"), StorageConfigDeleted())
    theirs = msgspec.structs.replace(config_created("c"), owner="eve")
    record(log, storage_configs.stream_of("c"), theirs)
    rule(log, "a", "b", "c", "never-there")
    arrived(log, observed("m31", 1))
    assert ids(run(policy, log)) == ["v1-a"]


def in_project(log: MemoryEventLog, *permissions: str) -> None:
    """A standing delivery of eve's in ana's project, with the project's own destination."""
    created = GroupCreated(id="p", kind="project", name="Galaxy Survey", owner="ana")
    member = MemberSet(username="eve", permissions=permissions)
    record(log, groups.stream_of("project", "p"), created, member)
    config = msgspec.structs.replace(config_created("a", template="$USER/$PROJECT"), scope="project", scope_id="p")
    record(log, storage_configs.stream_of("a"), config)
    rule(log, "a", owner="eve", scope="project", scope_id="p")


def test_s36_a_projects_standing_delivery_names_copies_by_the_project(
    log: CountedLog, policy: DeliverStandingQueries
) -> None:
    in_project(log, "can_edit")
    arrived(log, observed("m31", 1))
    (request,) = requests(run(policy, log))
    assert request.destination_path == "/fits-data/eve/Galaxy_Survey/m31.fits"


@pytest.mark.parametrize(
    ("permissions", "gets"), [(("can_edit",), True), (("can_manage_storage",), True), (("can_view",), False)]
)
def test_s36_a_projects_standing_delivery_needs_its_owners_permission_at_that_time(
    log: CountedLog, policy: DeliverStandingQueries, permissions: tuple[str, ...], gets: bool
) -> None:
    in_project(log, *permissions)
    arrived(log, observed("m31", 1))
    assert bool(run(policy, log)) is gets
    record(log, groups.stream_of("project", "p"), MemberRemoved(username="eve"))
    arrived(log, observed("m32", 2))
    assert run(policy, log) == []


def test_s36_a_region_of_the_sky_selects_too(log: CountedLog, policy: DeliverStandingQueries) -> None:
    configured(log, "a")
    rule(log, "a", conditions=FrameQuery(covers="POINT(10.5 10.5)"))
    square = Footprint((((10.0, 10.0), (11.0, 10.0), (11.0, 11.0), (10.0, 11.0), (10.0, 10.0)),))
    elsewhere = Footprint((((20.0, 10.0), (21.0, 10.0), (21.0, 11.0), (20.0, 11.0), (20.0, 10.0)),))
    arrived(log, observed("inside", 1, area=square))
    arrived(log, observed("outside", 2, area=elsewhere))
    arrived(log, observed("nowhere", 3))
    assert ids(run(policy, log)) == ["v1-a"]


def test_s36_what_is_taken_over_from_another_archive_has_not_arrived_just_now(
    log: CountedLog, policy: DeliverStandingQueries
) -> None:
    configured(log, "a")
    rule(log, "a")
    write = Write("frame:m31", 0, (observed("m31", 1),))
    log.append(Commit(writes=(write,), cause=Cause(actor="import", via="import"), at=NOON))
    assert run(policy, log) == []


def test_s36_a_file_that_has_left_the_server_is_not_asked_for(log: CountedLog, policy: DeliverStandingQueries) -> None:
    configured(log, "a")
    rule(log, "a")
    arrived(log, observed("m31", 1))
    left = FileDeletedFromServer(frame_id=1000, version_id=1, path="p", key="k", justified_by=("v1-z",))
    record(log, "frame:m31", left)
    assert run(policy, log) == []


def test_s36_without_standing_deliveries_a_batch_costs_one_load_and_with_some_a_few(
    log: CountedLog, policy: DeliverStandingQueries
) -> None:
    configured(log, "a")
    for number in range(1, 101):
        arrived(log, observed(f"m{number}", number))
    batch = log.read(0, 500).events
    log.loads = 0
    assert policy.react(batch, frozenset(), NOON) == []
    assert log.loads == 1
    for number in range(20):
        rule(log, "a", rule_id=f"std-{number}")
    for number in range(101, 201):
        arrived(log, observed(f"m{number}", number))
    batch = log.read(0, 500).events
    log.loads = 0
    assert len(policy.react(batch, frozenset(), NOON)) == 100
    assert log.loads <= 6


def both(log: MemoryEventLog, observation_config: str, *, standing_first: bool) -> list[Event]:
    """Let both policies see what there is, one before the other."""
    standing = DeliverStandingQueries(log, FrameMatcher(SphericalSky()))
    deleting = DeleteWhenAllDelivered(log)
    delivered(log, f"v1-{observation_config}")
    return run(standing, log) + run(deleting, log) if standing_first else run(deleting, log) + run(standing, log)


def wanted_by_both(log: MemoryEventLog) -> None:
    """A file of an observation whose destination deletes, that a standing delivery wants too."""
    configured(log, "a", delete=True)
    configured(log, "b")
    submitted(log, "obs", "a")
    rule(log, "b")
    arrived(log, observed("m31", 1, observation="obs"))
    record(log, "transfer:v1-a", transfer_requested(1, "a", delete=True))


def test_s54_a_file_is_not_deleted_before_its_standing_delivery_has_it(log: CountedLog) -> None:
    wanted_by_both(log)
    assert ids(both(log, "a", standing_first=True)) == ["v1-b"]
    assert not frames.fold(log.load("frame:m31")).deleted_from_server
    delivered(log, "v1-b")
    (left,) = run(DeleteWhenAllDelivered(log), log)
    assert isinstance(left, FileDeletedFromServer)
    assert left.justified_by == ("v1-a", "v1-b")


def test_s54_deletion_waits_until_standing_deliveries_have_been_asked(log: CountedLog) -> None:
    wanted_by_both(log)
    with pytest.raises(RetryLater, match="haven't been asked yet"):
        both(log, "a", standing_first=False)
    assert not frames.fold(log.load("frame:m31")).deleted_from_server
    run(DeliverStandingQueries(log, FrameMatcher(SphericalSky())), log)
    assert run(DeleteWhenAllDelivered(log), log) == []
    assert not frames.fold(log.load("frame:m31")).deleted_from_server


def test_s54_the_end_of_a_standing_delivery_does_not_forget_what_is_on_its_way(log: CountedLog) -> None:
    wanted_by_both(log)
    both(log, "a", standing_first=True)
    ended(log)
    account(log, "ana")
    assert run(DeleteWhenAllDelivered(log), log) == []
    assert not frames.fold(log.load("frame:m31")).deleted_from_server


def test_s54_a_file_that_a_standing_delivery_does_not_want_is_deleted_as_ever(log: CountedLog) -> None:
    configured(log, "a", delete=True)
    configured(log, "b")
    submitted(log, "obs", "a")
    rule(log, "b", conditions=FrameQuery(target="NGC"))
    arrived(log, observed("m31", 1, observation="obs"))
    record(log, "transfer:v1-a", transfer_requested(1, "a", delete=True))
    events = both(log, "a", standing_first=True)
    assert [type(event) for event in events] == [FileDeletedFromServer]


@pytest.mark.parametrize(("proposal", "goes"), [("PROP-1", True), ("OTHER", False)])
def test_s54_a_standing_delivery_asks_for_deletion_for_its_own_proposals_alone(
    log: CountedLog, policy: DeliverStandingQueries, proposal: str, goes: bool
) -> None:
    configured(log, "a", delete=True)
    rule(log, "a")
    arrived(log, observed("m31", 1, proposal=proposal, public=YESTERDAY))
    (request,) = requests(run(policy, log))
    assert request.delete_from_server is goes
    delivered(log, request.id)
    assert bool(run(DeleteWhenAllDelivered(log), log)) is goes


def test_s54_a_standing_delivery_that_takes_calibrated_files_waits_for_the_one_that_is_expected(
    log: CountedLog, policy: DeliverStandingQueries
) -> None:
    configured(log, "a", "raw_and_calibrated", delete=True)
    submitted(log, "obs")
    rule(log, "a")
    arrived(log, observed("m31", 1, observation="obs"))
    run(policy, log)
    delivered(log, "v1-a")
    assert run(DeleteWhenAllDelivered(log), log) == []
    arrived(log, msgspec.structs.replace(observed("m31-e91", 2, level=91, observation="obs"), calibrated_from="m31"))
    record(log, "frame:m31", CalibrationCompleted(calibrated="m31-e91", version_id=2, observation="obs"))
    with pytest.raises(RetryLater):
        run(DeleteWhenAllDelivered(log), log)
    assert ids(run(policy, log)) == ["v2-a"]
    assert run(DeleteWhenAllDelivered(log), log) == []
    delivered(log, "v2-a")
    left = [event for event in run(DeleteWhenAllDelivered(log), log) if isinstance(event, FileDeletedFromServer)]
    assert [event.version_id for event in left] == [1, 2]


class InterferingLog(MemoryEventLog):
    """Somebody else appends between the policy's decision and its commit, once."""

    interfere = staticmethod(lambda: None)

    def append_tracked(self, commits: Sequence[Commit], consumer: str, position: int) -> None:
        interfere, self.interfere = self.interfere, staticmethod(lambda: None)
        interfere()
        super().append_tracked(commits, consumer, position)


def advance(log: MemoryEventLog, policy: DeliverStandingQueries | DeleteWhenAllDelivered) -> None:
    runner = PolicyRunner(policy, log, StillClock(), ListedDeadLetters())
    batch = log.read(runner.position, 500)
    runner.advance(batch.events, batch.upto)
    assert runner.position == batch.upto


def test_s54_a_copy_wanted_between_the_decision_to_delete_and_its_commit_saves_the_file() -> None:
    log = InterferingLog()
    configured(log, "a", delete=True)
    configured(log, "b")
    submitted(log, "obs", "a")
    arrived(log, observed("m31", 1, observation="obs"))
    record(log, "transfer:v1-a", transfer_requested(1, "a", delete=True))
    delivered(log, "v1-a")

    def want() -> None:
        record(log, "frame:m31", CopyWanted(version_id=1, storage_config="b"))
        record(log, "transfer:v1-b", transfer_requested(1, "b"))

    log.interfere = staticmethod(want)
    advance(log, DeleteWhenAllDelivered(log))
    assert not frames.fold(log.load("frame:m31")).deleted_from_server


def test_s36_a_file_that_leaves_between_decision_and_commit_is_not_asked_for() -> None:
    log = InterferingLog()
    configured(log, "a")
    rule(log, "a")
    arrived(log, observed("m31", 1))
    left = FileDeletedFromServer(frame_id=1000, version_id=1, path="p", key="k", justified_by=("v1-z",))
    log.interfere = staticmethod(lambda: record(log, "frame:m31", left) and None)
    advance(log, DeliverStandingQueries(log, FrameMatcher(SphericalSky())))
    assert not log.load("transfer:v1-a")


def test_s36_a_destination_selected_at_the_same_time_makes_one_request() -> None:
    log = InterferingLog()
    configured(log, "a")
    submitted(log, "obs")
    rule(log, "a")
    arrived(log, observed("m31", 1, observation="obs"))

    def select() -> None:
        record(log, "observation:obs", DestinationsSelected(id="obs", destinations=("a",)))
        record(log, "transfer:v1-a", transfer_requested(1, "a"))

    log.interfere = staticmethod(select)
    advance(log, DeliverStandingQueries(log, FrameMatcher(SphericalSky())))
    assert len(log.load("transfer:v1-a")) == 1
