"""Organizations and projects: one owner, members with permissions, and who may give them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain import groups
from domain.errors import Forbidden, InvalidInput, NotAllowedNow
from domain.event import Cause, Event, Recorded
from domain.groups import Group, MemberSet

CAUSE = Cause(actor="ada", via="api")


def group(*decisions: Event, kind: groups.GroupKind = "project") -> Group:
    events = (groups.GroupCreated(id="g1", kind=kind, name="Survey", owner="ada"), *decisions)
    stream = groups.stream_of(kind, "g1")
    return groups.fold(
        Recorded(stream, number, number, datetime(2026, 11, 28, tzinfo=UTC), CAUSE, event)
        for number, event in enumerate(events, 1)
    )


BEN = MemberSet(username="ben", permissions=("can_view",))


def test_the_owner_has_every_permission_and_is_a_member() -> None:
    for kind, permissions in groups.PERMISSIONS.items():
        assert all(group(kind=kind).allows("ada", name) for name in permissions)
        assert group(kind=kind).has_member("ada")


def test_a_member_has_what_was_given_and_a_stranger_nothing() -> None:
    state = group(BEN)
    assert state.allows("ben", "can_view")
    assert state.allows("ben", "can_edit", "can_view")
    assert not state.allows("ben", "can_edit")
    assert not state.allows("eve", "can_view")
    assert not state.has_member("")


def test_permissions_are_kept_once_and_in_their_order() -> None:
    given = groups.set_member(group(), "ada", "ben", ["can_edit", "can_view", "can_edit"])
    assert given == (MemberSet(username="ben", permissions=("can_view", "can_edit")),)
    assert groups.set_member(group(*given), "ada", "ben", ["can_edit", "can_view"]) == ()


def test_permissions_of_another_kind_are_refused() -> None:
    with pytest.raises(InvalidInput, match="can_manage_projects"):
        groups.set_member(group(), "ada", "ben", ["can_manage_projects"])


def test_the_owner_cannot_be_changed_removed_or_leave() -> None:
    with pytest.raises(NotAllowedNow, match="transfer the ownership first"):
        groups.set_member(group(), "", "ada", [])
    with pytest.raises(NotAllowedNow, match="transfer the ownership first"):
        groups.remove_member(group(), "ada", "ada")


def test_only_the_owner_and_superusers_decide_who_manages_members() -> None:
    manager = MemberSet(username="ben", permissions=("can_manage_members",))
    other = MemberSet(username="eve", permissions=("can_manage_members",))
    state = group(manager, other)
    for refused in (
        lambda: groups.set_member(state, "ben", "joe", ["can_manage_members"]),
        lambda: groups.set_member(state, "ben", "eve", []),
        lambda: groups.set_member(state, "ben", "ben", ["can_manage_members", "can_delete"]),
        lambda: groups.remove_member(state, "ben", "eve"),
    ):
        with pytest.raises(Forbidden):
            refused()
    assert groups.set_member(state, "ben", "joe", ["can_delete"])
    assert groups.set_member(state, "", "joe", ["can_manage_members"])
    assert groups.remove_member(state, "ada", "eve")


def test_everybody_may_leave_and_removing_a_stranger_changes_nothing() -> None:
    assert groups.remove_member(group(BEN), "ben", "ben")
    assert groups.remove_member(group(BEN), "ada", "eve") == ()


def test_a_new_owner_was_a_member_and_the_former_one_stays_with_all_permissions() -> None:
    with pytest.raises(InvalidInput, match="isn't a member"):
        groups.transfer_ownership(group(), "ben")
    state = group(BEN, *groups.transfer_ownership(group(BEN), "ben"))
    assert (state.owner, state.members) == ("ben", {"ada": groups.PERMISSIONS["project"]})
    assert groups.transfer_ownership(state, "ben") == ()


def test_a_deleted_group_has_no_members_and_takes_no_changes() -> None:
    state = group(BEN, *groups.delete(group(BEN)))
    assert not state.has_member("ada")
    assert groups.delete(state) == ()
    for refused in (
        lambda: groups.rename(state, "x"),
        lambda: groups.set_member(state, "ada", "eve", []),
        lambda: groups.transfer_ownership(state, "ben"),
    ):
        with pytest.raises(NotAllowedNow, match="deleted"):
            refused()


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\nb"])
def test_a_name_is_printable_and_not_too_long(name: str) -> None:
    with pytest.raises(InvalidInput):
        groups.rename(group(), name)
    with pytest.raises(InvalidInput):
        groups.create(Group(), group_id="g", kind="project", name=name, owner="ada")


def test_the_same_name_again_is_no_event_and_an_id_is_used_once() -> None:
    assert groups.rename(group(), " Survey ") == ()
    with pytest.raises(NotAllowedNow, match="already"):
        groups.create(group(), group_id="g1", kind="project", name="Survey", owner="eve")
