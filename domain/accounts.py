"""The Account aggregate: who may come in. Password hashes stay outside the log; a token is only known by its hash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from domain.errors import InvalidInput, NotAllowedNow, NotFound
from domain.event import Event, Recorded


class AccountCreated(Event, frozen=True, kw_only=True):
    """Somebody may come in."""

    topic: ClassVar[str] = "account.created"
    username: str
    is_superuser: bool = False
    is_staff: bool = False


class AccountChanged(Event, frozen=True, kw_only=True):
    """The flags and proposals are these now."""

    topic: ClassVar[str] = "account.changed"
    is_superuser: bool
    is_staff: bool
    active: bool
    proposals: tuple[str, ...]


class PasswordSet(Event, frozen=True, kw_only=True):
    """The password was set or changed."""

    topic: ClassVar[str] = "account.password_set"


class TokenIssued(Event, frozen=True, kw_only=True):
    """A token was made; `hash` is the hex SHA-256 of its 160 random bits."""

    topic: ClassVar[str] = "account.token_issued"
    hash: str


class TokenRevoked(Event, frozen=True, kw_only=True):
    """A token is no longer good."""

    topic: ClassVar[str] = "account.token_revoked"
    hash: str


class AccountSynced(Event, frozen=True, kw_only=True):
    """The observation portal knows this user, and says this of them now.

    `portal_token` is the hash of the token that the portal gave the user, empty when it gave none. Names and the mail
    address stay outside the log, so that they can be forgotten.
    """

    topic: ClassVar[str] = "account.synced"
    is_superuser: bool
    is_staff: bool
    staff_view: bool = False
    portal_token: str = ""


class ProposalsLearned(Event, frozen=True, kw_only=True):
    """The portal lists these proposals for the user; the ones that an operator granted stay besides."""

    topic: ClassVar[str] = "account.proposals_learned"
    proposals: tuple[str, ...]


class Account(msgspec.Struct, frozen=True):
    """What commands need to know of an account. `proposals` were granted here, `learned` are the portal's."""

    username: str = ""
    is_superuser: bool = False
    is_staff: bool = False
    active: bool = True
    proposals: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    synced: bool = False
    staff_view: bool = False
    portal_token: str = ""
    exists: bool = False
    stream_version: int = 0

    @property
    def all_proposals(self) -> frozenset[str]:
        """The proposals whose frames are the user's to see."""
        return frozenset((*self.proposals, *self.learned))


def stream_of(username: str) -> str:
    """The stream of an account."""
    return f"account:{username}"


def evolve(account: Account, recorded: Recorded) -> Account:
    """The account after one more of its events."""
    replace = msgspec.structs.replace
    account = replace(account, stream_version=recorded.version)
    match recorded.event:
        case AccountCreated() as event:
            return replace(
                account,
                exists=True,
                username=event.username,
                is_superuser=event.is_superuser,
                is_staff=event.is_staff,
            )
        case AccountChanged() as event:
            return replace(
                account,
                is_superuser=event.is_superuser,
                is_staff=event.is_staff,
                active=event.active,
                proposals=event.proposals,
            )
        case AccountSynced() as event:
            return replace(
                account,
                synced=True,
                is_superuser=event.is_superuser,
                is_staff=event.is_staff,
                staff_view=event.staff_view,
                portal_token=event.portal_token,
            )
        case ProposalsLearned() as event:
            return replace(account, learned=event.proposals)
        case TokenIssued() as event:
            return replace(account, tokens=(*account.tokens, event.hash))
        case TokenRevoked() as event:
            return replace(account, tokens=tuple(token for token in account.tokens if token != event.hash))
        case _:
            return account


def fold(history: Iterable[Recorded]) -> Account:
    """The account that a stream tells of."""
    account = Account()
    for recorded in history:
        account = evolve(account, recorded)
    return account


def create(account: Account, username: str, *, is_superuser: bool, proposals: tuple[str, ...]) -> tuple[Event, ...]:
    """Decide on a new account. Raises InvalidInput on a bad name, NotAllowedNow when it is taken."""
    check_username(username)
    if account.exists:
        raise NotAllowedNow(f"There is a user {username} already.")
    created = AccountCreated(username=username, is_superuser=is_superuser, is_staff=is_superuser)
    if not proposals:
        return (created,)
    changed = AccountChanged(
        is_superuser=is_superuser, is_staff=is_superuser, active=True, proposals=tuple(sorted(set(proposals)))
    )
    return (created, changed)


def change(
    account: Account,
    username: str,
    *,
    is_superuser: bool | None = None,
    is_staff: bool | None = None,
    active: bool | None = None,
    proposals: tuple[str, ...] | None = None,
) -> tuple[Event, ...]:
    """Decide on other flags or granted proposals; None leaves one as it is. Raises NotFound."""
    if not account.exists:
        raise NotFound(f"There is no user {username}.")
    changed = AccountChanged(
        is_superuser=account.is_superuser if is_superuser is None else is_superuser,
        is_staff=account.is_staff if is_staff is None else is_staff,
        active=account.active if active is None else active,
        proposals=account.proposals if proposals is None else tuple(sorted(set(proposals))),
    )
    before = AccountChanged(
        is_superuser=account.is_superuser,
        is_staff=account.is_staff,
        active=account.active,
        proposals=account.proposals,
    )
    return () if changed == before else (changed,)


def sync(
    account: Account,
    username: str,
    *,
    staff_view: bool,
    portal_token: str,
    flags: tuple[bool, bool] | None = None,
) -> tuple[Event, ...]:
    """Decide on what the portal says: `flags` are superuser and staff, None leaves them as they are.

    A user who isn't there is created. Raises InvalidInput on a bad name.
    """
    created = () if account.exists else create(account, username, is_superuser=False, proposals=())
    is_superuser, is_staff = flags or (account.is_superuser, account.is_staff)
    synced = AccountSynced(
        is_superuser=is_superuser, is_staff=is_staff, staff_view=staff_view, portal_token=portal_token
    )
    before = AccountSynced(
        is_superuser=account.is_superuser,
        is_staff=account.is_staff,
        staff_view=account.staff_view,
        portal_token=account.portal_token,
    )
    return created if account.synced and synced == before else (*created, synced)


def learn_proposals(account: Account, proposals: Iterable[str]) -> tuple[Event, ...]:
    """Decide on the portal's list of a user's proposals; the same list again changes nothing."""
    learned = tuple(sorted(set(proposals)))
    return () if learned == account.learned or not account.exists else (ProposalsLearned(proposals=learned),)


def check_username(username: str) -> None:
    """Raise InvalidInput unless the name can be an account's."""
    if not username or len(username) > 150 or not username.isprintable() or any(c.isspace() for c in username):
        raise InvalidInput("A username has 1 to 150 printable characters and no spaces.", field="username")


def check_password(password: str) -> None:
    """Raise InvalidInput unless the password is long enough to be one (and short enough to hash)."""
    if not 8 <= len(password) <= 1000:
        raise InvalidInput("A password has 8 to 1000 characters.", field="password")


def set_password(account: Account, username: str) -> tuple[Event, ...]:
    """Decide on a new password; it is kept elsewhere. Raises NotFound for somebody who isn't there."""
    if not account.exists:
        raise NotFound(f"There is no user {username}.")
    return (PasswordSet(),)


def issue_token(account: Account, token_hash: str) -> tuple[Event, ...]:
    """Decide on a further token. Raises NotAllowedNow for an account that can't come in."""
    if not account.exists or not account.active:
        raise NotAllowedNow("There is no such active user.")
    return () if token_hash in account.tokens else (TokenIssued(hash=token_hash),)


def revoke_token(account: Account, token_hash: str) -> tuple[Event, ...]:
    """Decide on the end of a token; revoking twice changes nothing."""
    return (TokenRevoked(hash=token_hash),) if token_hash in account.tokens else ()


def replace_tokens(account: Account, token_hash: str) -> tuple[Event, ...]:
    """Decide that all tokens of the user end, and another one begins. Raises NotAllowedNow as `issue_token`."""
    issued = issue_token(account, token_hash)
    return (*(TokenRevoked(hash=one) for one in account.tokens if one != token_hash), *issued)
