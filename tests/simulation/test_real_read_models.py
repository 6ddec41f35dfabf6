"""The real projections, fed with what simulations left in the log, answer as the simulation's read models do."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from adapters.sky.spherical_sky import SphericalSky
from application.ports.event_log import Batch
from application.upload_sessions import OVER, session_owner
from domain import observations
from domain.event import Recorded
from domain.transfer_events import TransferRequested
from projections.frames.projection import FramesProjection
from projections.lookups import ReadModelLookups
from projections.observations import ObservationsProjection
from projections.projection import Projection
from projections.runner import ProjectionRunner, create_missing
from projections.storage_configs import StorageConfigsProjection
from projections.transfers import TransfersProjection
from tests.simulation.plan import Plan
from tests.simulation.read_models import KINDS, ReadModel, expiring
from tests.simulation.simulation import Simulation
from tests.simulation.workload import make_steps

CUTS = 6
"""How often the answers are compared on the way."""
LATER = datetime(2027, 1, 1, tzinfo=UTC)


class PartOfALog:
    """The part of EventLog that projections read, with a log that ends at `head`."""

    def __init__(self, events: list[Recorded]) -> None:
        self._events = events
        self.head = 0

    def read(self, after: int, limit: int, *, upto: int | None = None, topics: Collection[str] | None = None) -> Batch:
        """See EventLog.read."""
        found = self._events[after : min(self.head, after + limit)]
        return Batch(
            [one for one in found if topics is None or one.event.topic in topics],
            found[-1].position if found else after,
        )


@pytest.fixture
def pool(database: str) -> Iterator[ConnectionPool]:
    with ConnectionPool(database, min_size=1, max_size=2, kwargs={"autocommit": True}) as pool:
        yield pool


@pytest.mark.parametrize("seed", [18, 109, 162])
def test_real_read_models_answer_as_simulated_ones(seed: int, database: str, pool: ConnectionPool) -> None:
    simulation = Simulation(Plan(seed, make_steps(seed)))
    assert not simulation.run().failure
    events = simulation.world.database.events
    log = PartOfALog(events)
    projections: list[Projection] = [
        FramesProjection(SphericalSky()), ObservationsProjection(), StorageConfigsProjection(), TransfersProjection()
    ]  # fmt: skip
    runner = ProjectionRunner(database, log, projections)  # type: ignore[arg-type]
    models = {name: ReadModel(name) for name in KINDS}
    draw = Random(seed)
    with psycopg.connect(database, autocommit=True) as connection:
        create_missing(connection, projections)
        for owner in {session_owner(one.event.id) for one in events if isinstance(one.event, TransferRequested)}:
            connection.execute("INSERT INTO vault.data_key VALUES (%s, 'master', '', 1)", (owner,))
        for head in sorted({*draw.sample(range(1, len(events)), CUTS), len(events)}):
            log.head = head
            while runner.step(connection):  # catch_up leaves it to the one before, whose session may not have ended yet
                pass
            for model in models.values():
                model.apply(log.read(model.position, 1_000_000).events, head)
            compare(ReadModelLookups(pool), models, events[:head])


def compare(real: ReadModelLookups, models: dict[str, ReadModel], events: list[Recorded]) -> None:
    """Ask both everything that commands, policies and the sweep ask."""
    head = len(events)
    frames, transfers, configs = (models[name].rows for name in ("frames", "transfers", "storage_configs"))
    requested = {
        name: one for name, one in transfers.items() if one.request and name not in models["transfers"].expired
    }
    for stream in {one.stream for one in events if one.stream.startswith("observation:")}:
        observation = observations.fold([one for one in events if one.stream == stream]).id
        assert set(real.frames_of_observation(observation, at_least=head)) == {
            name for name, one in frames.items() if one.exists and one.observation == observation
        }
        assert set(real.failed_transfers_of_observation(observation, at_least=head)) == {
            name for name, one in requested.items() if one.request.observation == observation and one.status == "failed"
        }
    for config in configs:
        mine = {name: one for name, one in requested.items() if one.request.storage_config == config}
        selecting = {name for name, one in models["observations"].rows.items() if config in one.destinations}
        everything = {one.request.frame for one in transfers.values() if one.request.storage_config == config}
        assert set(real.frames_for_destination(config, at_least=head)) == everything | {
            name for name, one in frames.items() if one.exists and one.observation in selecting
        }
        for status, answer in (
            (("pending", "in_progress"), real.open_transfers(config, at_least=head)),
            (("pending", "in_progress", "failed"), real.unended_transfers(config, at_least=head)),
            (("failed",), real.failed_transfers(config, at_least=head)),
            (("completed",), real.completed_transfers(storage_config=config, at_least=head)),
        ):
            assert set(answer) == {name for name, one in mine.items() if one.status in status}, (config, status)
    for frame in frames:
        assert set(real.open_transfers_of_frame(frame, at_least=head)) == {
            name
            for name, one in requested.items()
            if one.request.frame == frame and one.status in ("pending", "in_progress")
        }
    assert set(real.running_transfers()) == {
        (name, one.attempts, one.worker) for name, one in transfers.items() if one.status == "in_progress"
    }
    assert set(real.held_transfers()) == {
        (name, one.request.storage_config) for name, one in transfers.items() if one.held and one.status == "pending"
    }
    assert set(real.due_transfers()) == {
        name for name, one in transfers.items() if (one.status == "pending" and not one.held) or one.checking
    }, "by the database's clock all waits are over"
    assert set(real.sessions_kept_in_vain()) == {
        name for name, one in requested.items() if one.status in OVER or one.cleared
    }
    assert set(real.paused_configs()) == {name for name, one in configs.items() if one.paused_until and not one.deleted}
    for before in (LATER, events[-1].at - timedelta(seconds=100)):
        assert real.expired_records(before) == len(expiring(models["transfers"], before))
