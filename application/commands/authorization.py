"""A destination's owner is asked for authorization on the provider's page, and comes back with it (S27, S28).

`state` can be used once, ends after ten minutes, and is bound to the user and, where there is one, to their browser.
What it stands for is sealed in the vault; nothing of it is in an event or a log.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from application.access import manage_config
from application.grants import give_back
from application.permissions import Principal
from application.ports.clock import Clock
from application.ports.consent import Consent
from application.ports.event_log import EventLog
from application.ports.lookups import StorageConfigLookup
from application.ports.vault import Vault
from application.transact import transact
from domain import accounts, storage_configs
from domain.errors import InvalidInput, NotAllowedNow
from domain.event import Cause
from domain.storage_configs import Provider, StorageConfig

LIFETIME = timedelta(minutes=10)
STATES = "oauth:"
"""What the names begin with under which the vault keeps what states stand for."""
AGAIN = "Start again from the storage configuration."


class Pending(msgspec.Struct, frozen=True):
    """What a state stands for. `browser` is a hash of what the user's browser must show again, or empty."""

    config: str
    username: str
    provider: Provider
    redirect_uri: str
    verifier: str
    expires: datetime
    browser: str = ""


class Begun(msgspec.Struct, frozen=True):
    """Where the account's owner agrees, the redirect URI that leads back from there, and a name for this authorization
    that tells nobody its state."""

    page: str
    redirect_uri: str
    name: str


class Authorized(msgspec.Struct, frozen=True):
    """A configuration whose account's owner has agreed; from `position` on the read models know it."""

    config: StorageConfig
    account: str
    position: int


def begin_authorization(
    log: EventLog,
    vault: Vault,
    clock: Clock,
    consent: Consent,
    principal: Principal,
    config_id: str,
    *,
    redirect: Callable[[Provider], str],
    new_secret: Callable[[], str],
    browser: str = "",
) -> Begun:
    """Begin an authorization of the configuration. Raises as manage_config does.

    `new_secret` gives 256 random bits as text; `browser` is what the user's browser will show again, if it is one.
    """
    config = manage_config(log, principal, config_id)
    state, verifier, redirect_uri = new_secret(), new_secret(), redirect(config.provider)
    page = consent.page(
        config.provider,
        config.options,
        redirect_uri=redirect_uri,
        state=state,
        challenge=base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("="),
    )
    pending = Pending(
        config=config.id,
        username=principal.username,
        provider=config.provider,
        redirect_uri=redirect_uri,
        verifier=verifier,
        expires=clock.now() + LIFETIME,
        browser=_hash(browser) if browser else "",
    )
    vault.put(_owner(state), {"pending": msgspec.json.encode(pending).decode()})
    return Begun(page, redirect_uri, name_of(state))


def name_of(state: str) -> str:
    """The name of the authorization that a state stands for."""
    return _hash(state)[:16]


def complete_authorization(
    log: EventLog,
    vault: Vault,
    clock: Clock,
    consent: Consent,
    lookup: StorageConfigLookup,
    correlation: str,
    provider: Provider,
    *,
    state: str,
    code: str,
    browser: str = "",
) -> Authorized:
    """Keep what the owner has given, in place of an earlier authorization of the same configuration.

    Raises NotAllowedNow for a state that is unknown, used, too old or another browser's, or whose configuration was
    deleted meanwhile; InvalidInput without a code, and what `exchange` raises.
    """
    pending = _pending(vault, clock, provider, state, browser)
    if not code:
        raise InvalidInput(f"The provider sent no code. {AGAIN}")
    principal = _principal(log, pending.username)
    config = manage_config(log, principal, pending.config)
    secrets = vault.get(config.id)
    grant = consent.exchange(
        config.provider,
        config.options,
        secrets,
        code=code,
        verifier=pending.verifier,
        redirect_uri=pending.redirect_uri,
    )
    vault.put(config.id, {"refresh_token": grant.refresh_token})
    try:
        position = transact(
            log,
            storage_configs.stream_of(config.id),
            lambda history: storage_configs.authorize(storage_configs.fold(history), grant.account),
            cause=Cause(actor=principal.username, via="oauth", correlation=correlation),
            now=clock.now(),
        )
    except NotAllowedNow:  # it was deleted while we asked: whoever did that has shredded before this token came
        vault.shred(config.id)
        granted = msgspec.structs.replace(config, account=grant.account)
        give_back(consent, lookup, granted, {**secrets, "refresh_token": grant.refresh_token}, log.head())
        raise
    return Authorized(config, grant.account, position)


def refuse_authorization(vault: Vault, state: str) -> None:
    """The owner didn't agree: the state is used up."""
    vault.take(_owner(state))


def _pending(vault: Vault, clock: Clock, provider: Provider, state: str, browser: str) -> Pending:
    found = vault.take(_owner(state)).get("pending") if state else None
    if found is None:
        raise NotAllowedNow(f"This authorization isn't known: it was used already, or it is too old. {AGAIN}")
    pending = msgspec.json.decode(found, type=Pending)
    if pending.expires <= clock.now():
        raise NotAllowedNow(f"This authorization took longer than ten minutes. {AGAIN}")
    if pending.provider != provider:
        raise NotAllowedNow(f"This authorization belongs to another provider. {AGAIN}")
    if pending.browser and not hmac.compare_digest(pending.browser, _hash(browser)):
        raise NotAllowedNow(f"This authorization was begun in another browser. {AGAIN}")
    return pending


def _principal(log: EventLog, username: str) -> Principal:
    """The user as they are now: whoever lost their rights meanwhile can't authorize any more."""
    account = accounts.fold(log.load(accounts.stream_of(username)))
    if not account.exists or not account.active:
        raise NotAllowedNow("The user who began this authorization can't come in any more.")
    return Principal(username, account.is_superuser, account.is_staff, account.proposals)


def _owner(state: str) -> str:
    """Where the vault keeps what a state stands for; the state itself is kept nowhere."""
    return f"{STATES}{_hash(state)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
