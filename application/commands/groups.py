"""Organizations and projects: founded, renamed, joined, left, handed over, ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from application.permissions import Principal, must_be_known
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.lookups import GroupLookup
from application.standing_deliveries import of_project
from application.transact import transact
from domain import accounts, groups
from domain.errors import Forbidden, InvalidInput, NotAllowedNow, NotFound
from domain.event import Cause, Event
from domain.groups import Group, GroupKind

MANAGE_MEMBERS = ("can_manage_members",)


def create_group(
    log: EventLog,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    kind: GroupKind,
    group_id: str,
    name: str,
    organization: str = "",
) -> int:
    """Found an organization or a project. In an organization that takes `can_manage_projects` there."""
    must_be_known(principal)
    if organization:
        home = load_group(log, "organization", organization)
        must_see_group(principal, home)
        _must_be_allowed(principal, home, "can_manage_projects")
    return transact(
        log,
        groups.stream_of(kind, group_id),
        lambda history: groups.create(
            groups.fold(history),
            group_id=group_id,
            kind=kind,
            name=name,
            owner=principal.username,
            organization=organization,
        ),
        cause=cause,
        now=clock.now(),
    )


def rename_group(
    log: EventLog, clock: Clock, cause: Cause, principal: Principal, kind: GroupKind, group_id: str, name: str
) -> int:
    """Change the name: the owner, and in a project who may edit it."""
    allowed = ("can_edit",) if kind == "project" else ()
    return _change(log, clock, cause, principal, kind, group_id, allowed, lambda group: groups.rename(group, name))


def set_member(
    log: EventLog,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    kind: GroupKind,
    group_id: str,
    username: str,
    permissions: Sequence[str],
) -> int:
    """Add a member or change what they may do. Raises InvalidInput for somebody who has no account."""
    actor = "" if principal.is_superuser else principal.username

    def decide(group: Group) -> tuple[Event, ...]:
        if not accounts.fold(log.load(accounts.stream_of(username))).exists:
            raise InvalidInput(f"There is no user {username}.", field="username")
        return groups.set_member(group, actor, username, permissions)

    return _change(log, clock, cause, principal, kind, group_id, MANAGE_MEMBERS, decide)


def remove_member(
    log: EventLog, clock: Clock, cause: Cause, principal: Principal, kind: GroupKind, group_id: str, username: str
) -> int:
    """Remove a member, or leave."""
    actor = "" if principal.is_superuser else principal.username
    needed = None if principal.username == username else MANAGE_MEMBERS
    return _change(
        log, clock, cause, principal, kind, group_id, needed, lambda group: groups.remove_member(group, actor, username)
    )


def transfer_ownership(
    log: EventLog, clock: Clock, cause: Cause, principal: Principal, kind: GroupKind, group_id: str, username: str
) -> int:
    """Hand the group over to a member; the owner alone may."""
    return _change(
        log, clock, cause, principal, kind, group_id, (), lambda group: groups.transfer_ownership(group, username)
    )


def delete_group(
    log: EventLog,
    lookup: GroupLookup,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    kind: GroupKind,
    group_id: str,
) -> int:
    """End a group: its owner, and in a project who `can_delete`.

    Raises NotAllowedNow while it has storage configurations, standing deliveries or projects: copies on their way there
    must not lose their destination in passing.
    """

    def decide(group: Group) -> tuple[Event, ...]:
        held = [*lookup.belongings(kind, group_id, at_least=log.head())]
        held += of_project(log, group_id) if kind == "project" else []
        if held:
            raise NotAllowedNow(f"Delete what belongs to this {kind} first: {', '.join(held)}.")
        return groups.delete(group)

    needed = ("can_delete",) if kind == "project" else ()
    return _change(log, clock, cause, principal, kind, group_id, needed, decide)


def load_group(log: EventLog, kind: GroupKind, group_id: str) -> Group:
    """The group as the log has it now."""
    return groups.fold(log.load(groups.stream_of(kind, group_id)))


def see_group(log: EventLog, principal: Principal, kind: GroupKind, group_id: str) -> Group:
    """The group, for its members and superusers. Raises Unauthenticated, NotFound."""
    must_be_known(principal)
    group = load_group(log, kind, group_id)
    must_see_group(principal, group, kind)
    return group


def must_see_group(principal: Principal, group: Group, kind: GroupKind = "organization") -> None:
    """Raise NotFound for a group that isn't there or that the principal doesn't belong to."""
    if not group.there or not (principal.is_superuser or group.has_member(principal.username)):
        raise NotFound(f"There is no such {group.kind if group.exists else kind}.")


def _must_be_allowed(principal: Principal, group: Group, *permissions: str) -> None:
    if not (principal.is_superuser or group.allows(principal.username, *permissions)):
        needed = f"{' or '.join(permissions)} in this {group.kind}" if permissions else "to own it"
        raise Forbidden(f"You need {needed} for that.")


def _change(
    log: EventLog,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    kind: GroupKind,
    group_id: str,
    permissions: Sequence[str] | None,
    decide: Callable[[Group], tuple[Event, ...]],
) -> int:
    """What `decide` makes of the group, if the principal has one of the permissions at that moment or owns it (None: if
    they are a member)."""
    must_be_known(principal)

    def allowed(group: Group) -> tuple[Event, ...]:
        must_see_group(principal, group, kind)
        if permissions is not None:
            _must_be_allowed(principal, group, *permissions)
        return decide(group)

    return transact(
        log,
        groups.stream_of(kind, group_id),
        lambda history: allowed(groups.fold(history)),
        cause=cause,
        now=clock.now(),
    )
