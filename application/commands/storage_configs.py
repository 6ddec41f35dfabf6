"""Storage configurations: created, edited, tested, deleted; their secrets go to the vault and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import msgspec
import structlog

from application.access import manage_config
from application.commands.groups import see_group
from application.grants import give_back
from application.permissions import Principal, managing, must_be_known
from application.ports.clock import Clock
from application.ports.consent import Consent
from application.ports.destination import Check
from application.ports.event_log import EventLog
from application.ports.lookups import StorageConfigLookup
from application.ports.open_destination import OpenDestination
from application.ports.vault import Vault
from application.transact import transact
from domain import storage_configs
from domain.destination_paths import check_template, normalise_folder
from domain.errors import Forbidden, GiveUp, InvalidInput, Misconfigured, NotAllowedNow, StarferryError
from domain.event import Cause, Event
from domain.storage_configs import Provider, Scope, Settings, StorageConfig

logger = structlog.get_logger()

SECRETS: Mapping[Provider, frozenset[str]] = {
    "dropbox": frozenset({"app_secret"}),
    "google_drive": frozenset({"client_secret"}),
    "google_cloud_storage": frozenset({"service_account_json"}),
    "s3": frozenset({"access_key", "secret_key"}),
    "folder": frozenset(),
}
OPTIONS: Mapping[Provider, frozenset[str]] = {
    "dropbox": frozenset({"app_key"}),
    "google_drive": frozenset({"client_id"}),
    "google_cloud_storage": frozenset({"bucket"}),
    "s3": frozenset({"endpoint", "region", "bucket"}),
    "folder": frozenset({"root"}),
}
_OPTIONAL = frozenset({"endpoint", "region"})


class NewStorageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody hands in; `credentials` mixes the provider's open options and its secrets."""

    id: str
    provider: Provider
    settings: Settings
    credentials: Mapping[str, str]
    scope: Scope = "personal"
    scope_id: str = ""
    enabled: bool = True


def create_storage_config(
    log: EventLog,
    vault: Vault,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    new: NewStorageConfig,
    open_destination: OpenDestination,
) -> int:
    """Record a configuration. Secrets are stored first: an event that promises secrets must find them; never another
    configuration's, so an id that is taken is refused before (NotAllowedNow)."""
    must_be_known(principal)
    _must_manage_scope(log, principal, new)
    settings = normalised(new.settings)
    options, secrets = divide(new.provider, new.credentials)
    missing = (OPTIONS[new.provider] | SECRETS[new.provider]) - options.keys() - secrets.keys() - _OPTIONAL
    if missing:
        raise InvalidInput(f"The credentials lack {', '.join(sorted(missing))}.", field="credentials")
    open_destination.check(new.provider, options, secrets)
    created = storage_configs.StorageConfigCreated(
        id=new.id,
        owner=principal.username,
        provider=new.provider,
        scope=new.scope,
        scope_id=new.scope_id,
        settings=settings,
        options=options,
        enabled=new.enabled,
    )
    storage_configs.create(load_config(log, new.id), created)
    if secrets:
        vault.put(new.id, secrets)
    try:
        return transact(
            log,
            storage_configs.stream_of(new.id),
            lambda history: storage_configs.create(storage_configs.fold(history), created),
            cause=cause,
            now=clock.now(),
        )
    except StarferryError:
        if not load_config(log, new.id).exists:
            vault.shred(new.id)
        raise


class ConfigChange(msgspec.Struct, frozen=True, kw_only=True):
    """An edit. `settings` are the fields that change, by their names: the others stay as they are at the moment of the
    change, not as somebody saw them before. Empty credential fields keep the stored ones (S24)."""

    settings: Mapping[str, Any] = {}
    credentials: Mapping[str, str] = {}
    enabled: bool | None = None


def edit_storage_config(
    log: EventLog,
    vault: Vault,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    config_id: str,
    change: ConfigChange,
    open_destination: OpenDestination,
) -> int:
    """Apply an edit. New secrets count as authorized (unless the provider wants its owner's consent): what waits for
    them goes on."""
    config = manage_config(log, principal, config_id)
    options, secrets = divide(config.provider, {name: value for name, value in change.credentials.items() if value})
    _changed(config.settings, change)  # what can't be right is refused before a secret is replaced
    if change.credentials:
        open_destination.check(config.provider, {**config.options, **options}, {**vault.get(config_id), **secrets})
    version = vault.put(config_id, secrets) if secrets else None

    def decide(state: StorageConfig) -> tuple[Event, ...]:
        settings = _changed(state.settings, change)
        events = storage_configs.edit(state, settings, {**state.options, **options}, version)
        if change.enabled is not None:
            events += storage_configs.enable(state, change.enabled)
        if secrets and state.needs_authorization and state.provider not in storage_configs.CONSENTED:
            events += storage_configs.authorize(state)
        return events

    try:
        return transact(
            log,
            storage_configs.stream_of(config_id),
            lambda history: decide(storage_configs.fold(history)),
            cause=cause,
            now=clock.now(),
        )
    except NotAllowedNow:  # it was deleted meanwhile, perhaps before our secrets came
        vault.shred(config_id)
        raise


def _changed(settings: Settings, change: ConfigChange) -> Settings:
    return normalised(msgspec.structs.replace(settings, **change.settings)) if change.settings else settings


def delete_storage_config(
    log: EventLog,
    vault: Vault,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    config_id: str,
    consent: Consent,
    lookup: StorageConfigLookup,
) -> int:
    """Delete a configuration and destroy its secrets (S25); a policy cancels what had not started. An authorization is
    given back to its provider, if that can be reached: last, because that may take long and we may be killed."""
    manage_config(log, principal, config_id)
    position = transact(
        log,
        storage_configs.stream_of(config_id),
        lambda history: storage_configs.delete(storage_configs.fold(history)),
        cause=cause,
        now=clock.now(),
    )
    give_back(consent, lookup, load_config(log, config_id), _taken(vault, config_id), position)
    return position


def _taken(vault: Vault, config_id: str) -> dict[str, str]:
    try:
        return vault.take(config_id)
    except (Misconfigured, GiveUp) as error:  # they are destroyed all the same
        logger.warning("a deleted configuration's secrets could not be read", config=config_id, reason=str(error))
        return {}


def test_storage_config(
    log: EventLog,
    vault: Vault,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    config_id: str,
    open_destination: OpenDestination,
) -> list[Check]:
    """Try the destination (S29) and keep the result; one that works again is released."""
    config = manage_config(log, principal, config_id)
    checks = _tried(open_destination, config, vault.get(config_id))
    failed = next((check for check in checks if not check.ok), None)
    tested = storage_configs.StorageConfigTested(ok=failed is None, reason=failed.reason if failed else "")

    def decide(state: StorageConfig) -> tuple[Event, ...]:
        if failed:
            return (tested,)
        recovered = storage_configs.authorize(state) + storage_configs.resume(state)
        return (tested, *recovered)

    transact(
        log,
        storage_configs.stream_of(config_id),
        lambda history: decide(storage_configs.fold(history)),
        cause=cause,
        now=clock.now(),
    )
    return checks


def _tried(open_destination: OpenDestination, config: StorageConfig, secrets: Mapping[str, str]) -> list[Check]:
    with ExitStack() as stack:
        try:
            destination = stack.enter_context(open_destination(config, secrets))
        except StarferryError as error:  # what can't even be opened is a result like others
            return [Check("credentials", False, str(error))]
        return destination.test()


def _must_manage_scope(log: EventLog, principal: Principal, new: NewStorageConfig) -> None:
    """Raise NotFound, Forbidden or InvalidInput unless the principal manages the storage of the scope (S06–S08)."""
    if new.scope == "personal":
        if new.scope_id not in ("", principal.username):
            raise InvalidInput(
                "A personal storage configuration is always your own: leave scope_id out.", field="scope_id"
            )
        return
    group = see_group(log, principal, new.scope, new.scope_id)
    if not (principal.is_superuser or group.allows(principal.username, *managing(group.kind))):
        needed = " or ".join(managing(group.kind))
        raise Forbidden(f"You need {needed} in this {group.kind} to add a storage configuration to it.")


def load_config(log: EventLog, config_id: str) -> StorageConfig:
    """The configuration as the log has it now."""
    return storage_configs.fold(log.load(storage_configs.stream_of(config_id)))


def divide(provider: Provider, credentials: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Open options and secrets apart. Raises InvalidInput for a field that the provider doesn't have."""
    unknown = credentials.keys() - OPTIONS[provider] - SECRETS[provider]
    if unknown:
        raise InvalidInput(f"{provider} has no credential {', '.join(sorted(unknown))}.", field="credentials")
    options = {name: value for name, value in credentials.items() if name in OPTIONS[provider]}
    return options, {name: value for name, value in credentials.items() if name in SECRETS[provider]}


def normalised(settings: Settings) -> Settings:
    """The settings with a normal destination path. Raises InvalidInput where a rule of S11–S13 is broken."""
    check_template(settings.path_template)
    settings = msgspec.structs.replace(
        settings,
        destination_path=normalise_folder(settings.destination_path),
        display_name=settings.display_name.strip(),
    )
    storage_configs.check_settings(settings)
    return settings
