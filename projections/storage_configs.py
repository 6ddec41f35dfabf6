"""The storage configurations read model: the cards that owners see (S63)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from domain.event import Recorded
from domain.storage_configs import (
    StorageConfigAuthorizationLost,
    StorageConfigAuthorized,
    StorageConfigCreated,
    StorageConfigDeleted,
    StorageConfigDisabled,
    StorageConfigEdited,
    StorageConfigEnabled,
    StorageConfigPaused,
    StorageConfigResumed,
    StorageConfigTested,
)
from projections.projection import Cursor

TABLES = """
CREATE TABLE storage_config (
    id text PRIMARY KEY, number bigint NOT NULL, owner text NOT NULL, provider text NOT NULL, scope text NOT NULL,
    scope_id text NOT NULL, settings jsonb NOT NULL, options jsonb NOT NULL, enabled boolean NOT NULL,
    deleted boolean NOT NULL, created_at timestamptz NOT NULL, needs_authorization boolean NOT NULL,
    account text NOT NULL, paused_until timestamptz, reason text NOT NULL, tested_at timestamptz, test_ok boolean,
    test_reason text NOT NULL
);
"""

INDEXES = "CREATE INDEX storage_config_owner ON storage_config (owner, number);"


class StorageConfigsProjection:
    """See the module."""

    name = "storage_configs"
    version = 2
    changed: Mapping[str, frozenset[str]] = {"storage_config": frozenset({"account"})}  # version 1 forgot it
    tables = TABLES
    indexes = INDEXES
    topics = frozenset(
        event.topic
        for event in (
            StorageConfigCreated,
            StorageConfigEdited,
            StorageConfigAuthorizationLost,
            StorageConfigAuthorized,
            StorageConfigPaused,
            StorageConfigResumed,
            StorageConfigTested,
            StorageConfigEnabled,
            StorageConfigDisabled,
            StorageConfigDeleted,
        )
    )

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """See Projection.apply."""
        for recorded in events:
            self._apply_one(cursor, recorded)

    def _apply_one(self, cursor: Cursor, recorded: Recorded) -> None:
        config = recorded.stream.removeprefix("storage_config:")

        def change(assignments: str, *values: object) -> None:
            cursor.execute(f"UPDATE storage_config SET {assignments} WHERE id = %s".encode(), (*values, config))

        match recorded.event:
            case StorageConfigCreated() as event:
                cursor.execute(
                    "INSERT INTO storage_config VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s, false, %s, "
                    "false, '', NULL, '', NULL, NULL, '') ON CONFLICT (id) DO NOTHING",
                    (
                        event.id,
                        recorded.position,
                        event.owner,
                        event.provider,
                        event.scope,
                        event.scope_id,
                        _json(event.settings),
                        _json(event.options),
                        event.enabled,
                        recorded.at,
                    ),
                )
            case StorageConfigEdited() as event:
                change("settings = %s::jsonb, options = %s::jsonb", _json(event.settings), _json(event.options))
            case StorageConfigAuthorizationLost() as event:
                change("needs_authorization = true, reason = %s", event.reason)
            case StorageConfigAuthorized() as event:
                # a test that succeeds says nothing of whose account it is: that of the last consent stays
                change(
                    "needs_authorization = false, reason = '', account = coalesce(nullif(%s, ''), account)",
                    event.account,
                )
            case StorageConfigPaused() as event:
                change("paused_until = %s, reason = %s", event.until, event.reason)
            case StorageConfigResumed():
                change("paused_until = NULL, reason = ''")
            case StorageConfigTested() as event:
                change("tested_at = %s, test_ok = %s, test_reason = %s", recorded.at, event.ok, event.reason)
            case StorageConfigEnabled():
                change("enabled = true")
            case StorageConfigDisabled():
                change("enabled = false")
            case StorageConfigDeleted():
                change("deleted = true, enabled = false")
            case _:
                pass


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
