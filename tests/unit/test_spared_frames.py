"""An operator's rules spare what is on its way, or what nobody has been asked about yet (S36, S37, S54)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from adapters.event_store.memory import MemoryEventLog
from adapters.sky.spherical_sky import SphericalSky
from application.commands.delete_frames import FrameDeletion
from application.frame_matching import FrameMatcher
from application.policies.deliver_standing_queries import DeliverStandingQueries
from application.ports.frame_finder import Found
from domain.frame_query import FrameQuery
from domain.frame_selection import FrameSelection
from domain.frames import CopyWanted
from domain.standing_deliveries import LIST, DeliveryRuleCreated, DeliveryRuleListed
from tests.fakes.clock import StillClock
from tests.fakes.samples import (
    CAUSE,
    arrived,
    configured,
    delivered,
    file_processed,
    record,
    submitted,
    transfer_requested,
    version,
)
from tests.unit.policies.running import run


class BlindFinder:
    """A read model that hasn't heard of any transfer."""

    def find(self, selection: FrameSelection, *, after: int, limit: int) -> Sequence[Found]:
        raise NotImplementedError

    def count(self, selection: FrameSelection) -> int:
        raise NotImplementedError

    def unfinished_transfers(self, basenames: Sequence[str]) -> Sequence[str]:
        return ()


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog()


def kept(log: MemoryEventLog) -> str:
    """Why a dry run would keep the frame m31; empty when it would go."""
    deletion = FrameDeletion(
        log=log,
        finder=BlindFinder(),
        clock=StillClock(),
        cause=CAUSE,
        selection=FrameSelection(),
        spare_wanted=True,
        dry_run=True,
    )
    (fate,) = deletion.run([Found(1000, "m31")])
    return fate.kept


def test_s37_a_frame_whose_backfill_is_on_its_way_is_spared_though_the_read_model_is_behind(
    log: MemoryEventLog,
) -> None:
    configured(log, "a")
    arrived(log, file_processed("m31", version(1)))
    assert kept(log) == ""
    record(log, "frame:m31", CopyWanted(version_id=1, storage_config="a"))
    record(log, "transfer:v1-a", transfer_requested(1, "a"))
    assert kept(log) == "the transfer v1-a is pending"
    delivered(log, "v1-a")
    assert kept(log) == ""


def test_s54_what_a_frames_earlier_observation_wants_spares_it(log: MemoryEventLog) -> None:
    configured(log, "a")
    submitted(log, "first", "a")
    arrived(log, file_processed("m31", version(1), observation="first"))
    record(log, "transfer:v1-a", transfer_requested(1, "a"))
    arrived(log, file_processed("m31", version(2), observation="second"))
    assert kept(log) == "the transfer v1-a is pending"
    delivered(log, "v1-a")
    assert kept(log) == ""


def test_s36_a_frame_that_standing_deliveries_have_not_seen_is_spared(log: MemoryEventLog) -> None:
    created = DeliveryRuleCreated(
        id="std-1", owner="ana", scope="personal", scope_id="", name="n", query="", conditions=FrameQuery(),
        destinations=("a",),
    )  # fmt: skip
    record(log, "standing_delivery:std-1", created)
    record(log, LIST, DeliveryRuleListed(id="std-1"))
    arrived(log, file_processed("m31", version(1)))
    assert kept(log) == "standing deliveries are to be asked still"
    run(DeliverStandingQueries(log, FrameMatcher(SphericalSky())), log)
    assert kept(log) == ""
