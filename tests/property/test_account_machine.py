"""Accounts under any order of commands: who is there, with which flags, proposals and tokens; no secret is logged."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from application.commands import accounts as commands
from application.commands.portal import learn_proposals, sync_user
from application.ports.portal import PortalUser
from domain import accounts
from domain.errors import InvalidInput, NotAllowedNow, NotFound
from tests.fakes.file_store import OpenVault
from tests.property.aggregate_machine import CAUSE, FEW, AggregateMachine

NAMES = st.sampled_from(["ada", "ben"])
BAD_NAMES = st.sampled_from(["", "a b", "x" * 151, "new\nline"])
TOKENS = st.sampled_from(["secret-1", "secret-2", "secret-3"])
PROPOSALS = st.sets(st.sampled_from(["P1", "P2", "P3"])).map(lambda found: tuple(found))
FLAG = st.one_of(st.none(), st.booleans())
PASSWORDS = st.sampled_from(["short", "secret-password", "secret" * 200])


class Sheet(msgspec.Struct):
    """What a person would note of an account."""

    superuser: bool = False
    staff: bool = False
    active: bool = True
    granted: set[str] = msgspec.field(default_factory=set)
    learned: set[str] = msgspec.field(default_factory=set)
    tokens: set[str] = msgspec.field(default_factory=set)
    portal: tuple[bool, str] | None = None


class NotedPasswords:
    """Implements the part of Passwords that sets them."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def set(self, username: str, password: str) -> None:
        """See Passwords.set."""
        self.of[username] = password


class AccountMachine(AggregateMachine):
    aggregate, prefix = accounts, "account:"

    def __init__(self) -> None:
        super().__init__()
        self.sheets: dict[str, Sheet] = {}
        self.vault = OpenVault()
        self.passwords = NotedPasswords()
        self.valid: dict[str, str] = {}

    @rule(name=NAMES, superuser=st.booleans(), proposals=PROPOSALS)
    def create(self, name: str, superuser: bool, proposals: tuple[str, ...]) -> None:
        refused = NotAllowedNow if name in self.sheets else None
        if self.command(
            lambda: commands.create_user(
                self.log, self.passwords, self.clock, CAUSE, name, is_superuser=superuser, proposals=proposals
            ),
            refused=refused,
            again=NotAllowedNow,
        ):
            self.sheets[name] = Sheet(superuser=superuser, staff=superuser, granted=set(proposals))

    @rule(name=BAD_NAMES)
    def create_with_a_bad_name(self, name: str) -> None:
        self.command(
            lambda: commands.create_user(self.log, self.passwords, self.clock, CAUSE, name), refused=InvalidInput
        )

    @rule(name=NAMES, password=PASSWORDS)
    def set_password(self, name: str, password: str) -> None:
        refused = InvalidInput if not 8 <= len(password) <= 1000 else None if name in self.sheets else NotFound
        if self.command(
            lambda: commands.set_password(self.log, self.passwords, self.clock, CAUSE, name, password),
            refused=refused,
            again=True,
        ):
            self.valid[name] = password

    @rule(name=NAMES, superuser=FLAG, staff=FLAG, active=FLAG, proposals=st.one_of(st.none(), PROPOSALS))
    def change(
        self,
        name: str,
        superuser: bool | None,
        staff: bool | None,
        active: bool | None,
        proposals: tuple[str, ...] | None,
    ) -> None:
        before = self.sheets.get(name, Sheet())
        after = msgspec.structs.replace(
            before,
            superuser=before.superuser if superuser is None else superuser,
            staff=before.staff if staff is None else staff,
            active=before.active if active is None else active,
            granted=before.granted if proposals is None else set(proposals),
        )
        if self.command(
            lambda: commands.change_account(
                self.log, self.clock, CAUSE, name,
                is_superuser=superuser, is_staff=staff, active=active, proposals=proposals,
            ),
            refused=None if name in self.sheets else NotFound,
            changes=after != before,
        ):  # fmt: skip
            self.sheets[name] = after

    @rule(name=NAMES, token=TOKENS)
    def issue(self, name: str, token: str) -> None:
        known = name in self.sheets and self.sheets[name].active
        if self.command(
            lambda: commands.create_token(self.log, self.clock, CAUSE, name, token),
            refused=None if known else NotAllowedNow,
            changes=known and token not in self.sheets[name].tokens,
        ):
            self.sheets[name].tokens.add(token)

    @rule(name=NAMES, token=TOKENS)
    def revoke(self, name: str, token: str) -> None:
        held = name in self.sheets and token in self.sheets[name].tokens
        self.command(lambda: commands.revoke_token(self.log, self.clock, CAUSE, name, token), changes=held)
        if held:
            self.sheets[name].tokens.remove(token)

    @rule(name=NAMES, token=TOKENS)
    def replace_tokens(self, name: str, token: str) -> None:
        known = name in self.sheets and self.sheets[name].active
        if self.command(
            lambda: commands.replace_tokens(self.log, self.vault, self.clock, CAUSE, name, token),
            refused=None if known else NotAllowedNow,
            changes=known and self.sheets[name].tokens != {token},
        ):
            self.sheets[name].tokens = {token}

    @rule(name=NAMES, flags=st.tuples(st.booleans(), st.booleans()), view=st.booleans(), with_flags=st.booleans())
    def sync(self, name: str, flags: tuple[bool, bool], view: bool, with_flags: bool) -> None:
        before = self.sheets.get(name, Sheet())
        superuser, staff = flags if with_flags else (before.superuser, before.staff)
        after = msgspec.structs.replace(before, superuser=superuser, staff=staff, portal=(view, "secret-portal"))
        user = PortalUser(
            username=name, is_superuser=flags[0], is_staff=flags[1], staff_view=view, api_token="secret-portal"
        )
        self.command(
            lambda: sync_user(self.log, self.vault, self.clock, CAUSE, user, with_flags=with_flags),
            changes=name not in self.sheets or after != before,
        )
        self.sheets[name] = after

    @rule(name=NAMES, proposals=PROPOSALS)
    def learn(self, name: str, proposals: tuple[str, ...]) -> None:
        known = name in self.sheets
        self.command(
            lambda: learn_proposals(self.log, self.clock, CAUSE, name, proposals),
            changes=known and self.sheets[name].learned != set(proposals),
        )
        if known:
            self.sheets[name].learned = set(proposals)

    @invariant()
    def agrees_with_the_model(self) -> None:
        for name in ("ada", "ben"):
            account, sheet = self.state(name), self.sheets.get(name)
            assert account.exists is (sheet is not None)
            if sheet is None:
                continue
            assert (account.is_superuser, account.is_staff, account.active) == (
                sheet.superuser, sheet.staff, sheet.active,
            )  # fmt: skip
            assert (set(account.proposals), set(account.learned)) == (sheet.granted, sheet.learned)
            assert account.all_proposals == sheet.granted | sheet.learned
            assert set(account.tokens) == {commands.hash_token(token) for token in sheet.tokens}
            assert len(account.tokens) == len(sheet.tokens)
        assert self.passwords.of == self.valid

    @invariant()
    def no_secret_is_in_the_log(self) -> None:
        assert "secret" not in repr(self.log.handed_in)


AccountMachine.TestCase.settings = FEW
TestAccountMachine = AccountMachine.TestCase
