"""What the sweep and the deletion of a configuration ask of the real read model (S25)."""

from __future__ import annotations

import psycopg
from psycopg_pool import ConnectionPool

from adapters.event_store.log import PostgresEventLog
from domain import storage_configs
from domain.event import Event
from domain.storage_configs import (
    Settings,
    StorageConfigAuthorizationLost,
    StorageConfigAuthorized,
    StorageConfigDeleted,
    StorageConfigEdited,
)
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


def test_s25_the_same_grant_is_the_same_app_and_account_of_a_live_configuration(
    database: str, log: PostgresEventLog, connection: psycopg.Connection
) -> None:
    ada, ben = (StorageConfigAuthorized(account=f"{name}@example.org") for name in ("ada", "ben"))
    lost, tested = StorageConfigAuthorizationLost(reason="Revoked."), StorageConfigAuthorized()
    settings = Settings(display_name="Mine")
    other_app = StorageConfigEdited(settings=settings, options={"root": "/other"})
    project(
        database, log, connection,
        same=(ada,), tested=(ada, lost, tested), other_account=(ben,), other_app=(ada, other_app), never=(),
        gone=(ada, StorageConfigDeleted()),
    )  # fmt: skip
    options = config_created("same").options
    with ConnectionPool(database, min_size=1, kwargs={"autocommit": True}) as pool:
        found = ReadModelLookups(pool).with_same_grant("folder", options, ada.account, at_least=log.head())
        assert sorted(found) == ["same", "tested"]
        assert not ReadModelLookups(pool).with_same_grant("dropbox", options, ada.account, at_least=log.head())
