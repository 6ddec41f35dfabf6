"""Answers to what commands and policies ask of the read models (application/ports/lookups.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from domain.errors import RetryLater
from domain.groups import GroupKind
from domain.storage_configs import Provider
from projections.awaited import TELL
from projections.transfers import EXPIRED

WAIT_SECONDS = 5.0
POLL_SECONDS, PATIENT_POLL_SECONDS = 0.005, 0.05
LARGEST_NUMBER = 2_147_483_647
"""Of an observation, as the OCS has them."""
_FOR_DESTINATION = """
WITH mine AS (SELECT id FROM read_observations.observation WHERE %(config)s = ANY(destinations))
SELECT f.basename FROM mine JOIN read_frames.frame f ON f.observation = mine.id
UNION
SELECT f.basename FROM mine JOIN read_frames.frame f
    ON f.observation_id = CASE WHEN mine.id ~ '^[0-9]{1,18}$' THEN mine.id::bigint END
UNION
SELECT frame FROM read_transfers.transfer WHERE storage_config = %(config)s
UNION
SELECT frame FROM read_transfers.delivered_copy WHERE storage_config = %(config)s
ORDER BY 1
"""
_DUE = """
SELECT t.id FROM (
    SELECT id, number FROM read_transfers.transfer
    WHERE status = 'pending' AND NOT held AND coalesce(next_attempt_at, '-infinity') <= now()
    UNION ALL
    SELECT id, number FROM read_transfers.transfer WHERE checking AND coalesce(next_check_at, '-infinity') <= now()
) t
WHERE NOT EXISTS (
    SELECT 1 FROM starferry.waiting_transfer w WHERE w.transfer = t.id AND w.due_at <= now() + interval '1 minute'
)
ORDER BY t.number LIMIT 1000
"""


class ReadModelLookups:
    """Implements FrameLookup, ThumbnailLookup, TransferLookup, StorageConfigLookup and GroupLookup. Safe to share
    between threads."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def frames_of_observation(self, observation: str, *, at_least: int) -> Sequence[str]:
        """See FrameLookup."""
        rows = self._rows(
            "frames",
            at_least,
            "SELECT basename FROM read_frames.frame WHERE observation_id = %s OR observation = %s ORDER BY id",
            number_of(observation),
            observation,
        )
        return [row[0] for row in rows]

    def frames_for_destination(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """See FrameLookup."""
        with self._connection() as connection:
            for model in ("observations", "frames", "transfers"):
                wait_for(connection, model, at_least)
            rows = connection.execute(_FOR_DESTINATION.encode(), {"config": storage_config}).fetchall()
        return [row[0] for row in rows]

    def frame_of_thumbnail(self, basename: str, *, at_least: int) -> str | None:
        """See ThumbnailLookup."""
        statement = (
            "SELECT f.basename FROM read_frames.thumbnail t JOIN read_frames.frame f ON f.id = t.frame_id "
            "WHERE t.basename = %s"
        )
        rows = self._rows("frames", at_least, statement, basename)
        return rows[0][0] if rows else None

    def open_transfers(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        return self._transfers_to(storage_config, ["pending", "in_progress"], at_least)

    def unended_transfers(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        return self._transfers_to(storage_config, ["pending", "in_progress", "failed", "cleared"], at_least)

    def open_transfers_of_frame(self, basename: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        statement = "SELECT id FROM read_transfers.transfer WHERE frame = %s AND status = ANY(%s)"
        rows = self._rows("transfers", at_least, statement, basename, ["pending", "in_progress"])
        return [row[0] for row in rows]

    def failed_transfers(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        return self._transfers_to(storage_config, ["failed"], at_least)

    def failed_transfers_of_observation(self, observation: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        statement = "SELECT id FROM read_transfers.transfer WHERE observation = %s AND status = 'failed'"
        return [row[0] for row in self._rows("transfers", at_least, statement, observation)]

    def completed_transfers(
        self, *, storage_config: str | None = None, observation: str | None = None, at_least: int
    ) -> Sequence[str]:
        """See TransferLookup."""
        column, value = ("observation", observation) if storage_config is None else ("storage_config", storage_config)
        statement = (
            f"SELECT id FROM read_transfers.transfer WHERE {column} = %s AND status = 'completed' ORDER BY number"
        )
        return [row[0] for row in self._rows("transfers", at_least, statement, value)]

    def expired_records(self, completed_before: datetime) -> int:
        """See TransferLookup."""
        statement = f"SELECT count(*) FROM read_transfers.transfer WHERE {EXPIRED}"
        count: int = self._rows("transfers", 0, statement, completed_before)[0][0]
        return count

    def running_transfers(self) -> Sequence[tuple[str, int, str]]:
        """See TransferLookup."""
        statement = "SELECT id, attempts, worker FROM read_transfers.transfer WHERE status = 'in_progress'"
        return self._rows("transfers", 0, statement)

    def due_transfers(self) -> Sequence[str]:
        """See TransferLookup. Those that wait nowhere, or for a time that is none of theirs (a clock was wrong);
        the oldest thousand."""
        rows = self._rows("transfers", 0, _DUE)
        return [row[0] for row in rows]

    def held_transfers(self) -> Sequence[tuple[str, str]]:
        """See TransferLookup."""
        return self._rows(
            "transfers", 0, "SELECT id, storage_config FROM read_transfers.transfer WHERE status = 'pending' AND held"
        )

    def sessions_kept_in_vain(self) -> Sequence[str]:
        """See TransferLookup. The last of them are those that were cleared: they may be cancelled, or not."""
        statement = (
            "SELECT t.id FROM vault.data_key k JOIN read_transfers.transfer t ON k.owner = 'upload:' || t.id "
            "WHERE k.owner LIKE 'upload:%%' AND t.status IN ('completed', 'cancelled', 'cleared') "
            "ORDER BY t.status = 'cleared' LIMIT 1000"
        )
        return [row[0] for row in self._rows("transfers", 0, statement)]

    def paused_configs(self) -> Sequence[str]:
        """See TransferLookup."""
        rows = self._rows(
            "storage_configs",
            0,
            "SELECT id FROM read_storage_configs.storage_config WHERE paused_until <= now() AND NOT deleted",
        )
        return [row[0] for row in rows]

    def secrets_kept_in_vain(self) -> Sequence[str]:
        """See StorageConfigLookup."""
        statement = (
            "SELECT c.id FROM vault.data_key k JOIN read_storage_configs.storage_config c ON c.id = k.owner "
            "WHERE c.deleted LIMIT 1000"
        )
        return [row[0] for row in self._rows("storage_configs", 0, statement)]

    def with_same_grant(
        self, provider: Provider, options: Mapping[str, str], account: str, *, at_least: int
    ) -> Sequence[str]:
        """See StorageConfigLookup."""
        statement = (
            "SELECT id FROM read_storage_configs.storage_config "
            "WHERE provider = %s AND options = %s::jsonb AND account = %s AND NOT deleted"
        )
        asked = (provider, msgspec.json.encode(options).decode(), account)
        return [row[0] for row in self._rows("storage_configs", at_least, statement, *asked)]

    def belongings(self, kind: GroupKind, group: str, *, at_least: int) -> Sequence[str]:
        """See GroupLookup."""
        configs = self._rows(
            "storage_configs",
            at_least,
            "SELECT id FROM read_storage_configs.storage_config WHERE scope = %s AND scope_id = %s AND NOT deleted",
            kind,
            group,
        )
        statement = "SELECT id FROM read_groups.party WHERE organization = %s AND NOT deleted"
        projects = self._rows("groups", at_least, statement, group) if kind == "organization" else []
        return sorted(row[0] for row in (*configs, *projects))

    def _transfers_to(self, storage_config: str, statuses: Sequence[str], at_least: int) -> Sequence[str]:
        statement = "SELECT id FROM read_transfers.transfer WHERE storage_config = %s AND status = ANY(%s)"
        return [row[0] for row in self._rows("transfers", at_least, statement, storage_config, statuses)]

    def _rows(self, model: str, at_least: int, statement: str, *parameters: Any) -> list[Any]:
        with self._connection() as connection:
            wait_for(connection, model, at_least)
            return connection.execute(statement.encode(), parameters).fetchall()

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise RetryLater("The database can't be reached at the moment.") from error


def number_of(observation: str) -> int | None:
    """The number that an observation is known by in frames' headers, if its id is one."""
    return int(observation) if observation.isdecimal() and int(observation[:11]) <= LARGEST_NUMBER else None


def wait_for(connection: psycopg.Connection[Any], model: str, at_least: int, *, hurry: bool = True) -> None:
    """Until a read model has a position; without `hurry` it may take its time. Raises RetryLater when it stays
    behind."""
    deadline = time.monotonic() + WAIT_SECONDS
    poll = POLL_SECONDS if hurry else PATIENT_POLL_SECONDS
    statement = "SELECT position FROM starferry.projection WHERE name = %s"
    while at_least:
        row = connection.execute(statement, (model,)).fetchone()
        if row and row[0] >= at_least:
            return
        if time.monotonic() > deadline:
            raise RetryLater(f"The read model {model} is behind; try again in a moment.")
        if hurry:
            connection.execute(TELL)
            hurry = False
        time.sleep(poll)
