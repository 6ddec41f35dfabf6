"""People and programs that may come in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.passwords import Passwords
from application.ports.vault import Vault
from application.transact import Decision, transact
from domain import accounts
from domain.event import Cause, Recorded


def hash_token(token: str) -> str:
    """What the log knows of a token. Its 160 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def create_user(
    log: EventLog,
    passwords: Passwords,
    clock: Clock,
    cause: Cause,
    username: str,
    *,
    password: str | None = None,
    is_superuser: bool = False,
    proposals: tuple[str, ...] = (),
) -> int:
    """Create an account; without a password it can only be used by token."""
    if password is not None:
        accounts.check_password(password)
    position = transact(
        log,
        accounts.stream_of(username),
        lambda history: accounts.create(
            accounts.fold(history), username, is_superuser=is_superuser, proposals=proposals
        ),
        cause=cause,
        now=clock.now(),
    )
    return position if password is None else set_password(log, passwords, clock, cause, username, password)


def set_password(log: EventLog, passwords: Passwords, clock: Clock, cause: Cause, username: str, password: str) -> int:
    """Set or replace a user's password."""
    accounts.check_password(password)
    position = transact(
        log,
        accounts.stream_of(username),
        lambda history: accounts.set_password(accounts.fold(history), username),
        cause=cause,
        now=clock.now(),
    )
    passwords.set(username, password)
    return position


def change_account(
    log: EventLog,
    clock: Clock,
    cause: Cause,
    username: str,
    *,
    is_superuser: bool | None = None,
    is_staff: bool | None = None,
    active: bool | None = None,
    proposals: tuple[str, ...] | None = None,
) -> int:
    """Set flags or the granted proposals; None leaves one as it is. Raises NotFound for somebody who isn't there."""
    return transact(
        log,
        accounts.stream_of(username),
        lambda history: accounts.change(
            accounts.fold(history),
            username,
            is_superuser=is_superuser,
            is_staff=is_staff,
            active=active,
            proposals=proposals,
        ),
        cause=cause,
        now=clock.now(),
    )


def login_token(log: EventLog, vault: Vault, clock: Clock, cause: Cause, username: str, fresh: str) -> tuple[str, int]:
    """The token that this user gets for a password, the same each time until it is revoked; and the position.

    `fresh` becomes it when there is none. It is kept sealed: the log only knows its hash. Raises NotAllowedNow for an
    account that can't come in.
    """
    kept = vault.get(_login_owner(username)).get("token", "")
    known = bool(kept) and hash_token(kept) in accounts.fold(log.load(accounts.stream_of(username))).tokens
    token = kept if known else fresh
    if not known:
        vault.put(_login_owner(username), {"token": token})
    return token, create_token(log, clock, cause, username, token)


def replace_tokens(log: EventLog, vault: Vault, clock: Clock, cause: Cause, username: str, fresh: str) -> int:
    """End all tokens that were made here for this user; `fresh` is what the next password is answered with."""
    vault.put(_login_owner(username), {"token": fresh})

    def decide(history: Sequence[Recorded]) -> Decision:
        return accounts.replace_tokens(accounts.fold(history), hash_token(fresh))

    return transact(log, accounts.stream_of(username), decide, cause=cause, now=clock.now())


def _login_owner(username: str) -> str:
    return f"login:{username}"


def revoke_token(log: EventLog, clock: Clock, cause: Cause, username: str, token: str) -> int:
    """End a token. Revoking one that the user doesn't have changes nothing."""
    return revoke_hashed_token(log, clock, cause, username, hash_token(token))


def revoke_hashed_token(log: EventLog, clock: Clock, cause: Cause, username: str, token_hash: str) -> int:
    """The same for those who only know the token's hash."""
    return transact(
        log,
        accounts.stream_of(username),
        lambda history: accounts.revoke_token(accounts.fold(history), token_hash),
        cause=cause,
        now=clock.now(),
    )


def create_token(log: EventLog, clock: Clock, cause: Cause, username: str, token: str) -> int:
    """Make `token` (fresh and random) good for this user. The caller shows it once; only its hash is kept."""
    return transact(
        log,
        accounts.stream_of(username),
        lambda history: accounts.issue_token(accounts.fold(history), hash_token(token)),
        cause=cause,
        now=clock.now(),
    )
