"""What the sweep and the deletion of a configuration ask of the real read model (S25)."""

from __future__ import annotations

import psycopg
from psycopg_pool import ConnectionPool

from adapters.event_store.log import PostgresEventLog
from domain import storage_configs
from domain.event import Event
from domain.storage_configs import StorageConfigDeleted
from projections.lookups import ReadModelLookups
from projections.runner import ProjectionRunner
from tests.fakes.samples import config_created
from tests.integration.projections.conftest import Writer, all_projections


def project(database: str, log: PostgresEventLog, connection: psycopg.Connection, **streams: tuple[Event, ...]) -> None:
    writer = Writer(log)
    for name, events in streams.items():
        writer.write(storage_configs.stream_of(name), config_created(name), *events)
    runner = ProjectionRunner(database, log, all_projections())
    while runner.step(connection):
        pass


def test_s25_secrets_are_kept_in_vain_of_deleted_configurations_alone(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    gone = (StorageConfigDeleted(),)
    project(database, log, connection, live=(), gone=gone, shredded=gone)
    for owner in ("live", "gone", "new", "upload:gone"):
        connection.execute("INSERT INTO vault.data_key VALUES (%s, 'key', '', 1)", (owner,))
    with ConnectionPool(database, min_size=1, kwargs={"autocommit": True}) as pool:
        assert ReadModelLookups(pool).secrets_kept_in_vain() == ["gone"]
