"""People and programs that may come in."""

from __future__ import annotations

import hashlib

from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.passwords import Passwords
from application.transact import transact
from domain import accounts
from domain.event import Cause


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
