"""An organization and a project under any order of commands by any of their people: one owner, who has all permissions,
and nobody does what they may not."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from application.commands import groups as commands
from application.commands.accounts import create_user
from application.permissions import Principal
from domain import groups
from domain.errors import Forbidden, InvalidInput, NotAllowedNow, NotFound, StarferryError, Unauthenticated
from domain.groups import PERMISSIONS, GroupKind
from tests.property.aggregate_machine import CAUSE, FEW, AggregateMachine
from tests.property.test_account_machine import NotedPasswords

PEOPLE = ("ada", "ben", "eve")
ASKERS = st.sampled_from([*map(Principal, PEOPLE), Principal("root", is_superuser=True), Principal()])
NAMED = st.sampled_from([*PEOPLE, "nobody"])
KINDS: st.SearchStrategy[GroupKind] = st.sampled_from(["organization", "project"])
TITLES = st.sampled_from(["Survey", "  Survey ", "Other", "", "x" * 201, "new\nline"])
COMMON = st.sets(st.sampled_from(["can_manage_members", "can_manage_storage"]))
"""What both kinds have."""
RIGHTS = st.one_of(
    COMMON, COMMON, st.sets(st.sampled_from(["can_manage_members", "can_edit", "can_delete", "can_fly"]))
)


class Sheet(msgspec.Struct):
    """What a person would note of a group."""

    name: str
    owner: str
    members: dict[str, set[str]] = msgspec.field(default_factory=dict)

    def knows(self, who: Principal) -> bool:
        return who.is_superuser or who.username == self.owner or who.username in self.members

    def rules(self, who: Principal) -> bool:
        return who.is_superuser or who.username == self.owner

    def allows(self, who: Principal, *rights: str) -> bool:
        return self.rules(who) or bool(set(rights) & self.members.get(who.username, set()))


class NoBelongings:
    """Implements GroupLookup."""

    def __init__(self) -> None:
        self.held: list[str] = []

    def belongings(self, kind: GroupKind, group: str, *, at_least: int) -> list[str]:
        """See GroupLookup."""
        return self.held


def good(title: str) -> bool:
    return 1 <= len(title.strip()) <= 200 and title.strip().isprintable()


class GroupMachine(AggregateMachine):
    aggregate = groups

    @initialize(kind=KINDS, founded=st.booleans())
    def begin(self, kind: GroupKind, founded: bool) -> None:
        self.kind: GroupKind = kind
        self.prefix = f"{kind}:"  # type: ignore[misc]
        self.sheet: Sheet | None = None
        self.over = False
        self.lookup = NoBelongings()
        for name in PEOPLE:
            create_user(self.log, NotedPasswords(), self.clock, CAUSE, name)
        if founded:
            self.create(Principal("ada"), "Survey")
            self.set_member(Principal("ada"), "ben", {"can_manage_members"})

    @rule(who=ASKERS, title=TITLES)
    def create(self, who: Principal, title: str) -> None:
        refused: type[StarferryError] | None = None
        if not who.username:
            refused = Unauthenticated
        elif self.sheet or self.over:
            refused = NotAllowedNow
        elif not good(title):
            refused = InvalidInput
        if self.command(
            lambda: commands.create_group(self.log, self.clock, CAUSE, who, self.kind, "g", title),
            refused=refused,
            again=NotAllowedNow,
        ):
            self.sheet = Sheet(title.strip(), who.username)

    @rule(who=ASKERS, title=TITLES)
    def rename(self, who: Principal, title: str) -> None:
        refused = self._refused(who, *(["can_edit"] if self.kind == "project" else []))
        refused = refused or (None if good(title) else InvalidInput)
        if self.command(
            lambda: commands.rename_group(self.log, self.clock, CAUSE, who, self.kind, "g", title),
            refused=refused,
            changes=self.sheet is not None and self.sheet.name != title.strip(),
        ):
            assert self.sheet
            self.sheet.name = title.strip()

    @rule(who=ASKERS, name=NAMED, rights=RIGHTS)
    def set_member(self, who: Principal, name: str, rights: set[str]) -> None:
        refused = self._refused(who, "can_manage_members")
        changes = False
        if refused is None and self.sheet:
            before = self.sheet.members.get(name)
            changes = before != rights
            if name == "nobody" or rights - set(PERMISSIONS[self.kind]):
                refused = InvalidInput
            elif name == self.sheet.owner:
                refused = NotAllowedNow
            elif changes and not self.sheet.rules(who):
                lesser = name != who.username and "can_manage_members" not in rights | (before or set())
                refused = None if lesser else Forbidden
        if self.command(
            lambda: commands.set_member(self.log, self.clock, CAUSE, who, self.kind, "g", name, tuple(rights)),
            refused=refused,
            changes=changes,
        ):
            assert self.sheet
            self.sheet.members[name] = rights

    @rule(who=ASKERS, name=NAMED)
    def remove_member(self, who: Principal, name: str) -> None:
        leaves = who.username == name
        refused = self._refused(who, "can_manage_members", "can_view" if leaves else "")
        if refused is Forbidden and leaves:
            refused = None  # everybody may leave
        held = self.sheet is not None and name in self.sheet.members
        if refused is None and self.sheet:
            if name == self.sheet.owner:
                refused = NotAllowedNow
            elif held and not leaves and not self.sheet.rules(who):
                refused = Forbidden if "can_manage_members" in self.sheet.members[name] else None
        # who has left isn't known there any more
        gone = NotFound if held and leaves else False
        if self.command(
            lambda: commands.remove_member(self.log, self.clock, CAUSE, who, self.kind, "g", name),
            refused=refused,
            changes=held,
            again=gone,
        ):
            assert self.sheet
            self.sheet.members.pop(name, None)

    @rule(who=ASKERS, name=NAMED)
    def hand_over(self, who: Principal, name: str) -> None:
        refused = self._refused(who)
        changes = self.sheet is not None and name != self.sheet.owner
        if refused is None and self.sheet and changes and name not in self.sheet.members:
            refused = InvalidInput
        again = Forbidden if changes and not who.is_superuser else False  # the former owner no longer decides that
        if self.command(
            lambda: commands.transfer_ownership(self.log, self.clock, CAUSE, who, self.kind, "g", name),
            refused=refused,
            changes=changes,
            again=again,
        ):
            assert self.sheet
            if changes:
                self.sheet.members.pop(name)
                self.sheet.members[self.sheet.owner] = set(PERMISSIONS[self.kind])
                self.sheet.owner = name

    @rule(who=ASKERS, held=st.booleans())
    def delete(self, who: Principal, held: bool) -> None:
        refused = self._refused(who, *(["can_delete"] if self.kind == "project" else []))
        self.lookup.held = ["cfg-1"] if held else []
        refused = refused or (NotAllowedNow if held else None)
        if self.command(
            lambda: commands.delete_group(self.log, self.lookup, self.clock, CAUSE, who, self.kind, "g"),
            refused=refused,
            again=NotFound,
        ):
            self.sheet, self.over = None, True

    def _refused(self, who: Principal, *rights: str) -> type[StarferryError] | None:
        """404 for what they may not see, 403 for what they may see but not change."""
        if not who.username:
            return Unauthenticated
        if self.sheet is None or not self.sheet.knows(who):
            return NotFound
        return None if self.sheet.allows(who, *rights) else Forbidden

    @invariant()
    def agrees_with_the_model(self) -> None:
        group = groups.fold(self.log.load(groups.stream_of(self.kind, "g")))
        assert group.there is (self.sheet is not None)
        if self.sheet is None:
            return
        assert (group.name, group.owner) == (self.sheet.name, self.sheet.owner)
        assert {name: set(rights) for name, rights in group.members.items()} == self.sheet.members
        assert group.owner not in group.members
        assert all(group.allows(group.owner, right) for right in PERMISSIONS[self.kind])


GroupMachine.TestCase.settings = FEW
TestGroupMachine = GroupMachine.TestCase
