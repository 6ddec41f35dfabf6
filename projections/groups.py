"""The groups read model: organizations and projects with their members. The owner is a member with all permissions."""

from __future__ import annotations

from collections.abc import Sequence

from domain.event import Recorded
from domain.groups import (
    PERMISSIONS,
    GroupCreated,
    GroupDeleted,
    GroupRenamed,
    MemberRemoved,
    MemberSet,
    OwnershipTransferred,
)
from projections.projection import Cursor

TABLES = """
CREATE TABLE party (
    kind text NOT NULL, id text NOT NULL, number bigint NOT NULL, name text NOT NULL, owner text NOT NULL,
    organization text NOT NULL, created_at timestamptz NOT NULL, deleted boolean NOT NULL, PRIMARY KEY (kind, id)
);
CREATE TABLE member (
    kind text NOT NULL, party text NOT NULL, username text NOT NULL, permissions text[] NOT NULL,
    PRIMARY KEY (kind, party, username)
);
"""

INDEXES = """
CREATE INDEX party_organization ON party (organization) WHERE organization <> '';
CREATE INDEX member_username ON member (username, kind);
"""

_SET = (
    "INSERT INTO member VALUES (%s, %s, %s, %s) "
    "ON CONFLICT (kind, party, username) DO UPDATE SET permissions = excluded.permissions"
)


class GroupsProjection:
    """See the module. A group's rows are keyed by its kind and id; `number` is the position of its foundation."""

    name = "groups"
    version = 1
    tables = TABLES
    indexes = INDEXES
    topics = frozenset(
        event.topic
        for event in (GroupCreated, GroupRenamed, MemberSet, MemberRemoved, OwnershipTransferred, GroupDeleted)
    )

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """See Projection.apply."""
        for recorded in events:
            self._apply_one(cursor, recorded)

    def _apply_one(self, cursor: Cursor, recorded: Recorded) -> None:
        kind, _, group = recorded.stream.partition(":")
        match recorded.event:
            case GroupCreated() as event:
                cursor.execute(
                    "INSERT INTO party VALUES (%s, %s, %s, %s, %s, %s, %s, false) ON CONFLICT DO NOTHING",
                    (kind, group, recorded.position, event.name, event.owner, event.organization, recorded.at),
                )
                cursor.execute(_SET, (kind, group, event.owner, list(PERMISSIONS[event.kind])))
            case GroupRenamed() as event:
                cursor.execute("UPDATE party SET name = %s WHERE kind = %s AND id = %s", (event.name, kind, group))
            case MemberSet() as event:
                cursor.execute(_SET, (kind, group, event.username, list(event.permissions)))
            case MemberRemoved() as event:
                cursor.execute(
                    "DELETE FROM member WHERE kind = %s AND party = %s AND username = %s", (kind, group, event.username)
                )
            case OwnershipTransferred() as event:
                everything = list(PERMISSIONS["organization" if kind == "organization" else "project"])
                for username in (event.owner, event.former):
                    cursor.execute(_SET, (kind, group, username, everything))
                cursor.execute("UPDATE party SET owner = %s WHERE kind = %s AND id = %s", (event.owner, kind, group))
            case GroupDeleted():
                cursor.execute("UPDATE party SET deleted = true WHERE kind = %s AND id = %s", (kind, group))
                cursor.execute("DELETE FROM member WHERE kind = %s AND party = %s", (kind, group))
            case _:
                pass
