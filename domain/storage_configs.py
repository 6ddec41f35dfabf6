"""The StorageConfig aggregate: one place of one owner that copies can be sent to. Secrets are never in its events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar, Literal

import msgspec

from domain.errors import InvalidInput, NotAllowedNow
from domain.event import Event, Recorded
from domain.names import clean_name

Provider = Literal["dropbox", "google_drive", "google_cloud_storage", "s3", "folder"]
Scope = Literal["personal", "organization", "project"]
FileContent = Literal["raw", "calibrated", "raw_and_calibrated"]
Content = Literal["raw", "calibrated"]
CONSENTED: frozenset[Provider] = frozenset({"dropbox", "google_drive"})
"""Providers whose account's owner authorizes us on a page of theirs (OAuth 2.0); the credentials alone open nothing."""
COMMENT_LENGTH = 2000
MOST_TRANSFERS = 32
"""The largest limit of concurrent transfers; without a limit the number of workers is one."""
LEAST_BYTES_PER_SECOND = 64 * 1024
"""The smallest limit of bandwidth: below it, a chunk of 8 MiB would wait for more than two minutes."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner can set (S11–S17, S59). `destination_path` is a normalised folder that begins with a slash.

    `max_transfers` and `max_bytes_per_second` hold for all transfers to the destination together, whichever worker
    carries them; None is no limit. They count from now on, also for transfers that were requested before.
    """

    display_name: str
    destination_path: str = "/"
    path_template: str = ""
    comment: str = ""
    file_content: FileContent = "raw"
    delete_from_server: bool = False
    max_transfers: int | None = None
    max_bytes_per_second: int | None = None

    def wants(self, content: Content) -> bool:
        """Whether such files go to this destination."""
        return self.file_content in (content, "raw_and_calibrated")


class StorageConfigCreated(Event, frozen=True, kw_only=True):
    """`options` are the provider's settings that aren't secret (bucket, root, endpoint, region)."""

    topic: ClassVar[str] = "storage_config.created"
    id: str
    owner: str
    provider: Provider
    scope: Scope
    scope_id: str
    settings: Settings
    options: dict[str, str]
    enabled: bool = True


class StorageConfigEdited(Event, frozen=True, kw_only=True):
    """The settings or options are these now; `credentials_version` counts replacements of secrets."""

    topic: ClassVar[str] = "storage_config.edited"
    settings: Settings
    options: dict[str, str]
    credentials_version: int | None = None


class StorageConfigAuthorizationLost(Event, frozen=True, kw_only=True):
    """The provider refused the credentials: they have expired or were revoked."""

    topic: ClassVar[str] = "storage_config.authorization_lost"
    reason: str


class StorageConfigAuthorized(Event, frozen=True, kw_only=True):
    """The credentials work (again); `account` is the e-mail of the authorized account."""

    topic: ClassVar[str] = "storage_config.authorized"
    account: str = ""


class StorageConfigPaused(Event, frozen=True, kw_only=True):
    """The destination is full or over a limit; it is probed again from `until` on (UTC)."""

    topic: ClassVar[str] = "storage_config.paused"
    reason: str
    until: datetime


class StorageConfigResumed(Event, frozen=True, kw_only=True):
    """The destination takes files again."""

    topic: ClassVar[str] = "storage_config.resumed"


class StorageConfigRecovered(Event, frozen=True, kw_only=True):
    """The destination has taken a file again, the first one since it paused. (A pause that has run out ends before
    anybody knows whether it does.)"""

    topic: ClassVar[str] = "storage_config.recovered"


class StorageConfigTested(Event, frozen=True, kw_only=True):
    """The result of a connection test."""

    topic: ClassVar[str] = "storage_config.tested"
    ok: bool
    reason: str = ""


class StorageConfigEnabled(Event, frozen=True, kw_only=True):
    """Offered for new observations again."""

    topic: ClassVar[str] = "storage_config.enabled"


class StorageConfigDisabled(Event, frozen=True, kw_only=True):
    """Not offered for new observations; what is queued goes on."""

    topic: ClassVar[str] = "storage_config.disabled"


class StorageConfigDeleted(Event, frozen=True, kw_only=True):
    """Gone; its secrets were destroyed."""

    topic: ClassVar[str] = "storage_config.deleted"


class StorageConfig(msgspec.Struct, frozen=True):
    """What commands and policies need to know of a configuration.

    `access_version` is the stream's version when its credentials or options were changed last, or found good: a refusal
    of earlier ones says nothing of these. `taking_nothing_since` is when it paused without having taken a file again,
    however often the pause has ended in between.
    """

    id: str = ""
    owner: str = ""
    provider: Provider = "folder"
    scope: Scope = "personal"
    scope_id: str = ""
    settings: Settings = Settings(display_name="")
    options: dict[str, str] = {}
    enabled: bool = False
    needs_authorization: bool = False
    account: str = ""
    paused_until: datetime | None = None
    pause_reason: str = ""
    taking_nothing_since: datetime | None = None
    deleted: bool = False
    exists: bool = False
    access_version: int = 0
    stream_version: int = 0

    def ready(self) -> bool:
        """Whether transfers to it may start now."""
        return self.exists and not (self.deleted or self.needs_authorization or self.paused_until)


def stream_of(config_id: str) -> str:
    """The stream of a configuration."""
    return f"storage_config:{config_id}"


def evolve(config: StorageConfig, recorded: Recorded) -> StorageConfig:
    """The configuration after one more of its events."""
    replace = msgspec.structs.replace
    config = replace(config, stream_version=recorded.version)
    match recorded.event:
        case StorageConfigCreated() as event:
            return replace(
                config,
                exists=True,
                id=event.id,
                owner=event.owner,
                provider=event.provider,
                scope=event.scope,
                scope_id=event.scope_id,
                settings=event.settings,
                options=event.options,
                enabled=event.enabled,
            )
        case StorageConfigEdited() as event:
            new = event.credentials_version is not None or event.options != config.options
            access = recorded.version if new else config.access_version
            return replace(config, settings=event.settings, options=event.options, access_version=access)
        case StorageConfigAuthorizationLost():
            return replace(config, needs_authorization=True)
        case StorageConfigAuthorized() as event:  # whoever only finds that the credentials work names no account
            account = event.account or config.account
            return replace(config, needs_authorization=False, account=account, access_version=recorded.version)
        case StorageConfigPaused() as event:
            since = config.taking_nothing_since or recorded.at
            return replace(config, paused_until=event.until, pause_reason=event.reason, taking_nothing_since=since)
        case StorageConfigResumed():
            return replace(config, paused_until=None, pause_reason="")
        case StorageConfigRecovered():  # in a pause, what had begun before has arrived: the pause goes on
            return replace(config, taking_nothing_since=recorded.at if config.paused_until else None)
        case StorageConfigEnabled():
            return replace(config, enabled=True)
        case StorageConfigDisabled():
            return replace(config, enabled=False)
        case StorageConfigDeleted():
            return replace(config, deleted=True, enabled=False)
        case _:
            return config


def fold(history: Iterable[Recorded]) -> StorageConfig:
    """The configuration that a stream tells of."""
    config = StorageConfig()
    for recorded in history:
        config = evolve(config, recorded)
    return config


def check_settings(settings: Settings) -> None:
    """Raise InvalidInput when a setting breaks its rule (S11, S14, S59; paths: domain/destination_paths)."""
    clean_name(settings.display_name, "The display name", field="display_name")
    if len(settings.comment) > COMMENT_LENGTH:
        raise InvalidInput(f"The comment is longer than {COMMENT_LENGTH} characters.", field="comment")
    most = settings.max_transfers
    if most is not None and not 1 <= most <= MOST_TRANSFERS:
        raise InvalidInput(f"max_transfers is a number from 1 to {MOST_TRANSFERS}, or null.", field="max_transfers")
    rate = settings.max_bytes_per_second
    if rate is not None and not LEAST_BYTES_PER_SECOND <= rate < 1 << 53:
        raise InvalidInput(
            f"max_bytes_per_second is at least {LEAST_BYTES_PER_SECOND}, or null.", field="max_bytes_per_second"
        )


def create(config: StorageConfig, created: StorageConfigCreated) -> tuple[Event, ...]:
    """Decide on a new configuration; one whose provider wants its owner's consent waits for that. Raises NotAllowedNow
    when the id is taken."""
    if config.exists:
        raise NotAllowedNow(f"There is a storage configuration {created.id} already.")
    if created.provider in CONSENTED:
        return (created, StorageConfigAuthorizationLost(reason="It hasn't been authorized yet."))
    return (created,)


def edit(
    config: StorageConfig, settings: Settings, options: dict[str, str], credentials_version: int | None
) -> tuple[Event, ...]:
    """Decide on an edit. The provider can't change, so it isn't asked for here."""
    _must_be_there(config)
    if settings != config.settings:  # what an earlier program took is no reason to refuse new credentials
        check_settings(settings)
    if settings == config.settings and options == config.options and credentials_version is None:
        return ()
    return (StorageConfigEdited(settings=settings, options=options, credentials_version=credentials_version),)


def enable(config: StorageConfig, enabled: bool) -> tuple[Event, ...]:
    """Decide on offering the configuration for new observations, or not."""
    _must_be_there(config)
    if enabled == config.enabled:
        return ()
    return (StorageConfigEnabled() if enabled else StorageConfigDisabled(),)


def lose_authorization(config: StorageConfig, reason: str) -> tuple[Event, ...]:
    """Decide on a refusal of the credentials; the second worker to see it changes nothing."""
    if config.deleted or config.needs_authorization:
        return ()
    return (StorageConfigAuthorizationLost(reason=reason),)


def authorize(config: StorageConfig, account: str = "") -> tuple[Event, ...]:
    """Decide on working credentials."""
    _must_be_there(config)
    return (StorageConfigAuthorized(account=account),) if config.needs_authorization or account else ()


def pause(config: StorageConfig, reason: str, until: datetime) -> tuple[Event, ...]:
    """Decide on a full or limited destination."""
    if config.deleted or config.paused_until == until:
        return ()
    return (StorageConfigPaused(reason=reason, until=until),)


def resume(config: StorageConfig) -> tuple[Event, ...]:
    """Decide on the end of a pause."""
    return (StorageConfigResumed(),) if config.paused_until and not config.deleted else ()


def recover(config: StorageConfig) -> tuple[Event, ...]:
    """Decide on a file that has arrived; only the first one since a pause is worth an event."""
    return (StorageConfigRecovered(),) if config.taking_nothing_since and not config.deleted else ()


def delete(config: StorageConfig) -> tuple[Event, ...]:
    """Decide on deletion; deleting twice changes nothing."""
    return () if config.deleted else (StorageConfigDeleted(),)


def _must_be_there(config: StorageConfig) -> None:
    if not config.exists or config.deleted:
        raise NotAllowedNow("This storage configuration has been deleted.")
