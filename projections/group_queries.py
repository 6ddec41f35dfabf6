"""Lists of organizations and projects, and what somebody may see through them, as SQL for the other lists."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from application.permissions import Principal, managing
from domain.groups import GroupKind

Rows = list[dict[str, Any]]


def configs_of(viewer: Principal, *, managed: bool) -> tuple[str, list[Any]]:
    """A condition on `c` (a storage configuration) that holds for those the viewer may select, or manages
    (application/permissions.config_access), with its parameters."""
    if viewer.is_superuser:
        return "true", []
    parameters: list[Any] = [viewer.username, viewer.username]
    mighty = ""
    if managed:
        mighty = "AND m.permissions && CASE c.scope WHEN 'organization' THEN %s::text[] ELSE %s::text[] END"
        parameters += [list(managing("organization")), list(managing("project"))]
    member = f"m.kind = c.scope AND m.party = c.scope_id AND m.username = %s {mighty}"
    return (
        f"((c.scope = 'personal' AND c.owner = %s) OR EXISTS (SELECT 1 FROM read_groups.member m WHERE {member}))",
        parameters,
    )


def changed_observations_of(viewer: Principal) -> tuple[str, list[Any]]:
    """A condition on `o` (an observation) that holds for those the viewer may change, with its parameters."""
    if viewer.is_superuser:
        return "true", []
    member = (
        "SELECT 1 FROM read_groups.member m JOIN read_groups.party p ON p.kind = m.kind AND p.id = m.party "
        "WHERE m.kind = 'project' AND m.party = o.project AND m.username = %s AND NOT p.deleted "
        "AND m.permissions && '{can_edit}'::text[]"
    )
    return f"(o.owner = %s OR EXISTS ({member}))", [viewer.username, viewer.username]


def observations_of(viewer: Principal) -> tuple[str, list[Any]]:
    """A condition on `o` (an observation) that holds for those the viewer may see
    (application/permissions.observation_access), with its parameters."""
    if viewer.is_superuser:
        return "true", []
    project = "SELECT 1 FROM read_groups.party p WHERE p.kind = 'project' AND p.id = o.project AND NOT p.deleted"
    member = (
        "SELECT 1 FROM read_groups.member m WHERE m.kind = 'project' AND m.party = o.project AND m.username = %s "
        "AND m.permissions && '{can_view,can_edit}'::text[]"
    )
    return (
        f"(o.owner = %s OR CASE WHEN EXISTS ({project}) THEN EXISTS ({member}) ELSE o.project = ANY(%s) END)",
        [viewer.username, viewer.username, list(viewer.proposals)],
    )


class GroupQueries:
    """Answers from read_groups. Belongs to one event loop."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]) -> None:
        self._pool = pool

    async def groups(
        self, viewer: Principal, kind: GroupKind, *, below: int, limit: int, group: str | None = None
    ) -> Rows:
        """The viewer's organizations or projects, newest first, with the members and the viewer's own permissions."""
        conditions = ["p.kind = %s", "NOT p.deleted", "p.number < %s"]
        parameters: list[Any] = [kind, below]
        if group is not None:
            conditions.append("p.id = %s")
            parameters.append(group)
        if not viewer.is_superuser:
            conditions.append("(p.kind, p.id) IN (SELECT kind, party FROM read_groups.member WHERE username = %s)")
            parameters.append(viewer.username)
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(
                "SELECT p.number, p.id, p.name, p.owner, p.organization, p.created_at, "
                "coalesce((SELECT json_agg(json_build_object('username', m.username, 'permissions', m.permissions) "
                "ORDER BY m.username) FROM read_groups.member m WHERE m.kind = p.kind AND m.party = p.id), '[]') "
                f"AS members FROM read_groups.party p WHERE {' AND '.join(conditions)} "
                "ORDER BY p.number DESC LIMIT %s".encode(),
                (*parameters, limit),
            )
            return await cursor.fetchall()
