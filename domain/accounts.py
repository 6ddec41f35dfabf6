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


class Account(msgspec.Struct, frozen=True):
    """What commands need to know of an account."""

    username: str = ""
    is_superuser: bool = False
    is_staff: bool = False
    active: bool = True
    proposals: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    exists: bool = False
    stream_version: int = 0


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
    if not username or len(username) > 150 or not username.isprintable() or any(c.isspace() for c in username):
        raise InvalidInput("A username has 1 to 150 printable characters and no spaces.", field="username")
    if account.exists:
        raise NotAllowedNow(f"There is a user {username} already.")
    created = AccountCreated(username=username, is_superuser=is_superuser, is_staff=is_superuser)
    if not proposals:
        return (created,)
    changed = AccountChanged(
        is_superuser=is_superuser, is_staff=is_superuser, active=True, proposals=tuple(sorted(set(proposals)))
    )
    return (created, changed)


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
    return (TokenIssued(hash=token_hash),)


def revoke_token(account: Account, token_hash: str) -> tuple[Event, ...]:
    """Decide on the end of a token; revoking twice changes nothing."""
    return (TokenRevoked(hash=token_hash),) if token_hash in account.tokens else ()
