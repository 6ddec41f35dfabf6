"""Who may see a transfer: the rule of the list of transfers (projections/delivery_queries), asked from the other side.

The list asks what one person may see; whoever tells many people what happened asks once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from application.permissions import Audience, managing
from domain.transfer_events import TransferRequested

_AUDIENCE = """
SELECT w.transfer, w.owner,
    ARRAY(
        SELECT c.owner FROM read_storage_configs.storage_config c WHERE c.id = w.config AND c.scope = 'personal'
        UNION SELECT m.username FROM read_storage_configs.storage_config c
            JOIN read_groups.member m ON m.kind = c.scope AND m.party = c.scope_id
            WHERE c.id = w.config
            AND m.permissions && CASE c.scope WHEN 'organization' THEN %s::text[] ELSE %s::text[] END
        UNION SELECT o.owner FROM read_observations.observation o WHERE o.id = w.observation
        UNION SELECT m.username FROM read_observations.observation o
            JOIN read_groups.party p ON p.kind = 'project' AND p.id = o.project AND NOT p.deleted
            JOIN read_groups.member m ON m.kind = p.kind AND m.party = p.id
            WHERE o.id = w.observation AND m.permissions && '{can_view,can_edit}'::text[]
    ),
    (SELECT o.project FROM read_observations.observation o WHERE o.id = w.observation AND NOT EXISTS (
        SELECT 1 FROM read_groups.party p WHERE p.kind = 'project' AND p.id = o.project AND NOT p.deleted))
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS w (transfer, owner, config, observation)
"""


class AudienceQueries:
    """Answers from read_storage_configs, read_observations and read_groups. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool

    async def of(self, requests: Sequence[TransferRequested]) -> Mapping[str, Audience]:
        """The audience of each of these transfers, by its id, as of now."""
        statement, parameters = audience_query(requests)
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(statement, parameters)).fetchall()
        return audiences(rows)


def audience_query(requests: Sequence[TransferRequested]) -> tuple[bytes, tuple[Any, ...]]:
    """The question for these transfers, with its parameters."""
    return _AUDIENCE.encode(), (
        list(managing("organization")),
        list(managing("project")),
        [request.id for request in requests],
        [request.owner for request in requests],
        [request.storage_config for request in requests],
        [request.observation for request in requests],
    )


def audiences(rows: Sequence[tuple[Any, ...]]) -> Mapping[str, Audience]:
    """Its answer."""
    return {
        transfer: Audience(frozenset(name for name in (owner, *names) if name), proposal or "")
        for transfer, owner, names, proposal in rows
    }
