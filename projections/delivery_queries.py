"""Lists of the own API: observations, storage configurations, transfers. Newest first, by number, for keyset paging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from application.permissions import Principal
from domain.storage_configs import CONSENTED
from projections.group_queries import changed_observations_of, configs_of, observations_of

Rows = list[dict[str, Any]]

_TRANSFER = (
    "SELECT t.number, t.id, t.status, t.held, t.attempts, t.failures, t.next_attempt_at, t.bytes_sent, t.bytes_total, "
    "t.destination_path, nullif(t.error, '') AS error, t.storage_config, t.provider, t.observation, t.frame, "
    "t.frame_id, t.content, t.verified, t.requested_at, t.completed_at, nullif(t.copy, '') AS copy, "
    "t.checked_at, t.checking, t.next_check_at, nullif(t.check_reason, '') AS check_reason"
)
_CONFIG = (
    "SELECT c.number, c.id, c.owner, c.provider, c.scope, c.scope_id, c.settings, c.options, c.enabled, c.created_at, "
    "c.needs_authorization, c.account, c.paused_until, nullif(c.reason, '') AS reason, c.tested_at, c.test_ok, "
    "nullif(c.test_reason, '') AS test_reason"
)
_CONFIGS = "FROM read_storage_configs.storage_config c"


class DeliveryQueries:
    """Answers from read_observations, read_storage_configs and read_transfers. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool

    async def transfers(
        self, viewer: Principal, filters: Mapping[str, str], *, below: int, limit: int, transfer: str | None = None
    ) -> Rows:
        """Transfers of the observations that the viewer may see and of the destinations that they manage, each with the
        `actions` that the viewer may take (S62); `filters` are columns."""
        conditions = ["t.number < %s", "t.status <> 'cleared'"]
        parameters: list[Any] = [below]
        if transfer is not None:
            conditions.append("t.id = %s")
            parameters.append(transfer)
        for column, value in filters.items():
            conditions.append(f"t.{column} = %s")
            parameters.append(value)
        if not viewer.is_superuser:
            managed, through_config = configs_of(viewer, managed=True)
            seen, through_observation = observations_of(viewer)
            conditions.append(
                "(t.owner = %s OR t.storage_config IN (SELECT c.id FROM read_storage_configs.storage_config c "
                f"WHERE {managed}) OR t.observation IN (SELECT o.id FROM read_observations.observation o WHERE {seen}))"
            )
            parameters += [viewer.username, *through_config, *through_observation]
        changed, through = _changed(viewer)
        rows = await self._rows(
            f"{_TRANSFER}, {changed} AS may_change FROM read_transfers.transfer t WHERE {' AND '.join(conditions)} "
            "ORDER BY t.number DESC LIMIT %s",
            *through,
            *parameters,
            limit,
        )
        for row in rows:
            row["actions"] = transfer_actions(row) if row.pop("may_change") else []
        return rows

    async def unlisted(self, frame: str) -> list[str]:
        """Ids of the transfers of a frame's files that are in no list any more: cleared, or completed long ago."""
        rows = await self._rows(
            "SELECT id FROM read_transfers.transfer WHERE frame = %s AND status = 'cleared' UNION ALL "
            "SELECT 'v' || version_id || '-' || storage_config FROM read_transfers.delivered_copy WHERE frame = %s",
            frame,
            frame,
        )
        return [row["id"] for row in rows]

    async def configs(self, viewer: Principal, *, below: int, limit: int, config: str | None = None) -> Rows:
        """The storage configurations that the viewer may see, each with its transfers counted by status and the
        `actions` that the viewer may take (S63)."""
        conditions = ["c.number < %s", "NOT c.deleted"]
        parameters: list[Any] = [below]
        if config is not None:
            conditions.append("c.id = %s")
            parameters.append(config)
        condition, extra = configs_of(viewer, managed=False)
        conditions.append(condition)
        parameters += extra
        managed, through = configs_of(viewer, managed=True)
        rows = await self._rows(
            f"{_CONFIG}, {managed} AS manages {_CONFIGS} WHERE {' AND '.join(conditions)} "
            "ORDER BY c.number DESC LIMIT %s",
            *through,
            *parameters,
            limit,
        )
        counts = await self._rows(
            "SELECT storage_config, status, count(*) AS n FROM read_transfers.transfer WHERE storage_config = ANY(%s) "
            "AND status <> 'cleared' GROUP BY 1, 2",
            [row["id"] for row in rows],
        )
        for row in rows:
            row["transfers"] = {n["status"]: n["n"] for n in counts if n["storage_config"] == row["id"]}
            row["actions"] = config_actions(row, manages=row.pop("manages"))
        return rows

    async def selectable(self, viewer: Principal, project: str) -> Rows:
        """The enabled configurations that the viewer can select for an observation of this project, by scope."""
        condition, parameters = configs_of(viewer, managed=False)
        return await self._rows(
            f"{_CONFIG} {_CONFIGS} WHERE NOT c.deleted AND c.enabled AND (c.scope <> 'project' OR c.scope_id = %s) "
            f"AND {condition} ORDER BY c.number",
            project,
            *parameters,
        )

    async def observations(self, viewer: Principal, *, below: int, limit: int, observation: str | None = None) -> Rows:
        """The observations that the viewer may see."""
        conditions = ["o.number < %s"]
        parameters: list[Any] = [below]
        if observation is not None:
            conditions.append("o.id = %s")
            parameters.append(observation)
        condition, extra = observations_of(viewer)
        conditions.append(condition)
        parameters += extra
        return await self._rows(
            f"SELECT o.* FROM read_observations.observation o WHERE {' AND '.join(conditions)} "
            "ORDER BY o.number DESC LIMIT %s",
            *parameters,
            limit,
        )

    async def _rows(self, statement: str, *parameters: Any) -> Rows:
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(statement.encode(), parameters)
            return await cursor.fetchall()


def _changed(viewer: Principal) -> tuple[str, list[Any]]:
    """Whether the viewer may change a transfer (application/commands/transfers), with the parameters."""
    if viewer.is_superuser:
        return "true", []
    managed, through_config = configs_of(viewer, managed=True)
    changed, through_observation = changed_observations_of(viewer)
    return (
        "(t.owner = %s OR EXISTS (SELECT 1 FROM read_storage_configs.storage_config c WHERE c.id = t.storage_config "
        f"AND {managed}) OR EXISTS (SELECT 1 FROM read_observations.observation o WHERE o.id = t.observation "
        f"AND {changed}))",
        [viewer.username, *through_config, *through_observation],
    )


def transfer_actions(row: Mapping[str, Any]) -> list[str]:
    """What can be done with a transfer in its state; each is a route below its own."""
    lost = row["status"] == "completed" and row["copy"] in ("missing", "changed")
    possible = {
        "retry": row["status"] == "failed" or (lost and row["copy"] == "missing"),
        "cancel": row["status"] in ("pending", "in_progress", "failed") or lost,
        "clear": row["status"] == "failed" or lost,
        "verify": row["status"] == "completed",
    }
    return [action for action, is_possible in possible.items() if is_possible]


def config_actions(row: Mapping[str, Any], *, manages: bool) -> list[str]:
    """What the viewer may do with a storage configuration that they see."""
    possible = {
        "select": row["enabled"],
        "edit": manages,
        "test": manages,
        "authorize": manages and row["provider"] in CONSENTED,
        "retry-failed": manages,
        "clear-failed": manages,
        "verify": manages,
        "delete": manages,
    }
    return [action for action, is_possible in possible.items() if is_possible]
