"""Organizations and projects: who belongs to them and what each member may do there.

Both are groups with one owner, who has every permission, and members with some of the kind's permissions. A project may
belong to an organization. Storage configurations of a group are its members' to select (S06–S08).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal

import msgspec

from domain.errors import Forbidden, InvalidInput, NotAllowedNow
from domain.event import Event, Recorded
from domain.names import clean_name

GroupKind = Literal["organization", "project"]
PERMISSIONS: Mapping[GroupKind, tuple[str, ...]] = {
    "organization": ("can_manage_members", "can_manage_projects", "can_manage_storage"),
    "project": ("can_view", "can_edit", "can_manage_members", "can_delete", "can_manage_storage"),
}


class GroupCreated(Event, frozen=True, kw_only=True):
    """Somebody founded an organization or a project and owns it."""

    topic: ClassVar[str] = "group.created"
    id: str
    kind: GroupKind
    name: str
    owner: str
    organization: str = ""


class GroupRenamed(Event, frozen=True, kw_only=True):
    """It is called this now."""

    topic: ClassVar[str] = "group.renamed"
    name: str


class MemberSet(Event, frozen=True, kw_only=True):
    """Somebody is a member with exactly these permissions now."""

    topic: ClassVar[str] = "group.member_set"
    username: str
    permissions: tuple[str, ...]


class MemberRemoved(Event, frozen=True, kw_only=True):
    """Somebody left or was removed."""

    topic: ClassVar[str] = "group.member_removed"
    username: str


class OwnershipTransferred(Event, frozen=True, kw_only=True):
    """A member owns it now; the former owner stays as a member with all permissions."""

    topic: ClassVar[str] = "group.ownership_transferred"
    owner: str
    former: str


class GroupDeleted(Event, frozen=True, kw_only=True):
    """It is no more."""

    topic: ClassVar[str] = "group.deleted"


class Group(msgspec.Struct, frozen=True):
    """What commands need to know of a group. `members` maps usernames to permissions; the owner isn't among them."""

    id: str = ""
    kind: GroupKind = "organization"
    name: str = ""
    owner: str = ""
    organization: str = ""
    members: dict[str, tuple[str, ...]] = {}
    deleted: bool = False
    exists: bool = False
    stream_version: int = 0

    @property
    def there(self) -> bool:
        """Whether it exists and wasn't deleted."""
        return self.exists and not self.deleted

    def has_member(self, username: str) -> bool:
        """Whether somebody belongs to it."""
        return self.there and bool(username) and (username == self.owner or username in self.members)

    def allows(self, username: str, *permissions: str) -> bool:
        """Whether somebody has at least one of these permissions; the owner has all."""
        if not self.has_member(username):
            return False
        return username == self.owner or any(name in self.members[username] for name in permissions)


def stream_of(kind: GroupKind, group_id: str) -> str:
    """The stream of a group."""
    return f"{kind}:{group_id}"


def evolve(group: Group, recorded: Recorded) -> Group:
    """The group after one more of its events."""
    replace = msgspec.structs.replace
    group = replace(group, stream_version=recorded.version)
    match recorded.event:
        case GroupCreated() as event:
            return replace(
                group,
                exists=True,
                id=event.id,
                kind=event.kind,
                name=event.name,
                owner=event.owner,
                organization=event.organization,
            )
        case GroupRenamed() as event:
            return replace(group, name=event.name)
        case MemberSet() as event:
            return replace(group, members={**group.members, event.username: event.permissions})
        case MemberRemoved() as event:
            return replace(group, members=_without(group.members, event.username))
        case OwnershipTransferred() as event:
            members = {**_without(group.members, event.owner), event.former: PERMISSIONS[group.kind]}
            return replace(group, owner=event.owner, members=members)
        case GroupDeleted():
            return replace(group, deleted=True)
        case _:
            return group


def fold(history: Iterable[Recorded]) -> Group:
    """The group that a stream tells of."""
    group = Group()
    for recorded in history:
        group = evolve(group, recorded)
    return group


def create(
    group: Group, *, group_id: str, kind: GroupKind, name: str, owner: str, organization: str = ""
) -> tuple[Event, ...]:
    """Decide on a new group. Raises InvalidInput for a bad name, NotAllowedNow when the id is taken."""
    if group.exists:
        raise NotAllowedNow(f"There is {_a(kind)} {group_id} already.")
    return (
        GroupCreated(id=group_id, kind=kind, name=clean_name(name, "A name"), owner=owner, organization=organization),
    )


def rename(group: Group, name: str) -> tuple[Event, ...]:
    """Decide on another name."""
    _must_be_there(group)
    name = clean_name(name, "A name")
    return () if name == group.name else (GroupRenamed(name=name),)


def set_member(group: Group, actor: str, username: str, permissions: Sequence[str]) -> tuple[Event, ...]:
    """Decide on a member's permissions, in the name of `actor` (empty: a superuser, who may do all).

    Raises InvalidInput for an unknown permission, NotAllowedNow for the owner, and Forbidden where somebody who manages
    members would change their own permissions, or who else manages members: the owner alone does that.
    """
    _must_be_there(group)
    known = PERMISSIONS[group.kind]
    if unknown := sorted(set(permissions) - set(known)):
        raise InvalidInput(f"There is no permission {unknown[0]}; there are {', '.join(known)}.", field="permissions")
    if username == group.owner:
        raise NotAllowedNow("The owner has every permission; transfer the ownership first.")
    chosen = tuple(name for name in known if name in permissions)
    before = group.members.get(username)
    if before == chosen:
        return ()
    if actor and actor != group.owner:
        _must_be_lesser(actor, username, before, chosen)
    return (MemberSet(username=username, permissions=chosen),)


def remove_member(group: Group, actor: str, username: str) -> tuple[Event, ...]:
    """Decide on the end of a membership; removing who isn't a member changes nothing. `actor` is as in `set_member`;
    everybody may leave."""
    _must_be_there(group)
    if username == group.owner:
        raise NotAllowedNow("The owner can't leave; transfer the ownership first.")
    if username not in group.members:
        return ()
    if actor and actor not in (group.owner, username):
        _must_be_lesser(actor, username, group.members[username], ())
    return (MemberRemoved(username=username),)


def _must_be_lesser(actor: str, username: str, before: tuple[str, ...] | None, chosen: tuple[str, ...]) -> None:
    if actor == username:
        raise Forbidden("You can't change your own permissions.")
    if "can_manage_members" in {*(before or ()), *chosen}:
        raise Forbidden("Only the owner decides who manages members.")


def transfer_ownership(group: Group, username: str) -> tuple[Event, ...]:
    """Decide on another owner, who must be a member."""
    _must_be_there(group)
    if username == group.owner:
        return ()
    if username not in group.members:
        raise InvalidInput(f"{username} isn't a member; only a member can become the owner.", field="username")
    return (OwnershipTransferred(owner=username, former=group.owner),)


def delete(group: Group) -> tuple[Event, ...]:
    """Decide on the end of the group; deleting twice changes nothing."""
    return () if group.deleted else (GroupDeleted(),)


def _must_be_there(group: Group) -> None:
    if not group.there:
        raise NotAllowedNow(f"This {group.kind} has been deleted.")


def _without(members: dict[str, tuple[str, ...]], username: str) -> dict[str, tuple[str, ...]]:
    return {name: permissions for name, permissions in members.items() if name != username}


def _a(kind: GroupKind) -> str:
    return "an organization" if kind == "organization" else "a project"
