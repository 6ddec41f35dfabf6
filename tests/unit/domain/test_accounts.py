"""Who may come in."""

from __future__ import annotations

import pytest

from domain import accounts
from domain.accounts import Account, AccountChanged, AccountCreated, PasswordSet, TokenIssued, TokenRevoked
from domain.errors import InvalidInput, NotAllowedNow
from domain.event import Event
from tests.fakes.samples import recorded

CREATED = AccountCreated(username="ana")


def after(*events: Event) -> Account:
    return accounts.fold(recorded(*events))


def changed(*, active: bool = True, proposals: tuple[str, ...] = ()) -> AccountChanged:
    return AccountChanged(is_superuser=False, is_staff=False, active=active, proposals=proposals)


def test_a_new_account_is_one_event() -> None:
    assert accounts.create(Account(), "ana", is_superuser=False, proposals=()) == (CREATED,)
    assert accounts.stream_of("ana") == "account:ana"


def test_a_superuser_is_staff_too() -> None:
    account = after(*accounts.create(Account(), "root", is_superuser=True, proposals=()))
    assert (account.is_superuser, account.is_staff, account.active) == (True, True, True)


def test_proposals_are_kept_sorted_and_each_once() -> None:
    account = after(*accounts.create(Account(), "ana", is_superuser=False, proposals=("P2", "P1", "P2")))
    assert account.proposals == ("P1", "P2")
    assert not account.is_superuser


@pytest.mark.parametrize("name", ["", "x" * 151, "a b", "tab\t", "bell\x07", "line\n", "\u200b"])
def test_a_username_is_printable_without_spaces_and_at_most_150_characters(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        accounts.create(Account(), name, is_superuser=False, proposals=())
    assert refused.value.field == "username"


@pytest.mark.parametrize("name", ["a", "x" * 150, "ana.maría@example.org"])
def test_other_usernames_are_fine(name: str) -> None:
    assert after(*accounts.create(Account(), name, is_superuser=False, proposals=())).username == name


def test_a_name_is_given_once() -> None:
    with pytest.raises(NotAllowedNow, match="ana"):
        accounts.create(after(CREATED), "ana", is_superuser=False, proposals=())


def test_tokens_are_known_by_their_hash_until_revoked() -> None:
    assert accounts.issue_token(after(CREATED), "ff00") == (TokenIssued(hash="ff00"),)
    account = after(CREATED, TokenIssued(hash="ff00"), TokenIssued(hash="aa11"))
    assert account.tokens == ("ff00", "aa11")
    assert accounts.revoke_token(account, "ff00") == (TokenRevoked(hash="ff00"),)
    assert after(CREATED, TokenIssued(hash="ff00"), TokenRevoked(hash="ff00")).tokens == ()


def test_revoking_an_unknown_token_changes_nothing() -> None:
    assert accounts.revoke_token(after(CREATED), "ff00") == ()


@pytest.mark.parametrize("history", [[], [CREATED, changed(active=False)]])
def test_only_an_active_account_gets_a_token(history: list[Event]) -> None:
    with pytest.raises(NotAllowedNow, match="no such active user"):
        accounts.issue_token(after(*history), "ff00")


def test_a_change_replaces_flags_and_proposals() -> None:
    account = after(CREATED, changed(proposals=("P3",)))
    assert (account.proposals, account.active, account.exists) == (("P3",), True, True)


def test_a_password_leaves_no_trace_but_that_it_was_set() -> None:
    assert after(CREATED, PasswordSet()).username == "ana"
    assert PasswordSet.__struct_fields__ == ()
