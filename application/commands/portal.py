"""What is learned from the observation portal: users with their flags and tokens, and their proposals."""

from __future__ import annotations

from collections.abc import Iterable

from application.commands.accounts import hash_token
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.portal import PortalUser
from application.ports.vault import Vault
from application.transact import transact
from domain import accounts
from domain.event import Cause

KEPT = ("first_name", "last_name", "email", "api_token")


def sync_user(
    log: EventLog,
    vault: Vault,
    clock: Clock,
    cause: Cause,
    user: PortalUser,
    *,
    with_flags: bool,
    access_token: str = "",
) -> int:
    """Bring an account to what the portal says, creating it when it isn't there; nothing is written when nothing
    changed. Without `with_flags` the user is no more and no less than before.

    The portal's token, the names and the mail address go to the vault, where they can be forgotten. Where the portal
    gave no token of its own, `access_token` is kept instead, to ask for proposals with. Raises InvalidInput for a name
    that no account can have.
    """
    accounts.check_username(user.username)
    _keep(vault, user, access_token)
    portal_token = hash_token(user.api_token) if user.api_token else ""
    flags = (user.is_superuser, user.is_staff) if with_flags else None
    return transact(
        log,
        accounts.stream_of(user.username),
        lambda history: accounts.sync(
            accounts.fold(history),
            user.username,
            staff_view=user.staff_view,
            portal_token=portal_token,
            flags=flags,
        ),
        cause=cause,
        now=clock.now(),
    )


def learn_proposals(log: EventLog, clock: Clock, cause: Cause, username: str, proposals: Iterable[str]) -> int:
    """Record the portal's list of a user's proposals, when it has changed."""
    listed = tuple(proposals)
    return transact(
        log,
        accounts.stream_of(username),
        lambda history: accounts.learn_proposals(accounts.fold(history), listed),
        cause=cause,
        now=clock.now(),
    )


def portal_credential(vault: Vault, username: str) -> tuple[str, str] | None:
    """Scheme and token to ask the portal with in this user's name; None when it gave us neither."""
    kept = vault.get(_owner(username))
    if token := kept.get("api_token"):
        return "Token", token
    if token := kept.get("access_token"):
        return "Bearer", token
    return None


def _keep(vault: Vault, user: PortalUser, access_token: str) -> None:
    before = vault.get(_owner(user.username))
    wanted = {name: value for name in KEPT if (value := getattr(user, name))}
    if "api_token" not in wanted and (spare := access_token or before.get("access_token")):
        wanted["access_token"] = spare
    if before.keys() - wanted.keys():
        vault.shred(_owner(user.username))
        before = {}
    if wanted != before:
        vault.put(_owner(user.username), wanted)


def _owner(username: str) -> str:
    return f"portal:{username}"
