"""A storage configuration under any order of commands: edits, tests, pauses, lost and regained authorization, its end.
Its provider never changes, and no secret is in an event (sections 3 and 4 of the contract)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from application.commands import groups as group_commands
from application.commands import storage_configs as commands
from application.commands.accounts import create_user
from application.permissions import Principal
from application.ports.destination import Check
from application.transact import transact
from domain import storage_configs
from domain.errors import Forbidden, InvalidInput, NotAllowedNow, NotFound, StarferryError
from domain.event import Event
from domain.storage_configs import CONSENTED, Provider, Scope, Settings, StorageConfig
from tests.fakes.destination import OneDestination, ScriptedDestination
from tests.fakes.file_store import OpenVault
from tests.fakes.lookups import LogLookups
from tests.property.aggregate_machine import CAUSE, FEW, AggregateMachine
from tests.property.test_account_machine import NotedPasswords

OWNER, MEMBER, STRANGER = Principal("ada"), Principal("ben"), Principal("eve")
ASKERS = st.sampled_from([OWNER, OWNER, OWNER, MEMBER, STRANGER])
CREDENTIALS: Mapping[Provider, dict[str, str]] = {
    "folder": {"root": "/srv"},
    "s3": {"bucket": "b", "access_key": "secret-1", "secret_key": "secret-2"},
    "dropbox": {"app_key": "k", "app_secret": "secret-1"},
}
SETTINGS = st.builds(
    Settings,
    display_name=st.sampled_from(["Mine", " Mine ", "Ours", "", "x" * 201]),
    destination_path=st.sampled_from(["/fits-data", "fits-data/", "/a/../b"]),
    path_template=st.sampled_from(["", "$TARGET", "$NIGHT"]),
    file_content=st.sampled_from(["raw", "calibrated", "raw_and_calibrated"]),
    delete_from_server=st.booleans(),
    max_transfers=st.sampled_from([None, 1, 32, 0, 33]),
)


def acceptable(settings: Settings) -> bool:
    """S11–S13, S59."""
    return (
        1 <= len(settings.display_name.strip()) <= 200
        and ".." not in settings.destination_path
        and "NIGHT" not in settings.path_template
        and settings.max_transfers in (None, *range(1, 33))
    )


def tidy(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, display_name=settings.display_name.strip(), destination_path="/fits-data")


class Tried(ScriptedDestination):
    """Answers a connection test as it is told."""

    ok = True

    def test(self) -> list[Check]:
        """See Destination.test."""
        return [Check("upload", self.ok, "" if self.ok else "not permitted to write")]


class NoConsent:
    """Implements the part of Consent that gives a grant back."""

    def revoke(self, *_: object) -> None:
        """See Consent.revoke."""


class StorageConfigMachine(AggregateMachine):
    aggregate, prefix = storage_configs, "storage_config:"

    @initialize(provider=st.sampled_from(sorted(CREDENTIALS)), scope=st.sampled_from(["personal", "organization"]))
    def begin(self, provider: Provider, scope: Scope) -> None:
        self.provider: Provider = provider
        self.scope: Scope = scope
        self.vault = OpenVault()
        self.destination = Tried()
        self.opening = OneDestination(self.destination)
        for who in (OWNER, MEMBER, STRANGER):
            create_user(self.log, NotedPasswords(), self.clock, CAUSE, who.username)
        group_commands.create_group(self.log, self.clock, CAUSE, OWNER, "organization", "g", "Survey")
        group_commands.set_member(self.log, self.clock, CAUSE, OWNER, "organization", "g", "ben", ())
        self.there = self.over = False
        self.settings = Settings(display_name="")
        self.options: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.enabled = self.unauthorized = False
        self.paused: datetime | None = None

    @rule(who=ASKERS, settings=SETTINGS, enabled=st.booleans(), lacking=st.booleans())
    def create(self, who: Principal, settings: Settings, enabled: bool, lacking: bool) -> None:
        credentials = {} if lacking else CREDENTIALS[self.provider]
        refused: type[StarferryError] | None = None
        if self.scope == "organization" and who != OWNER:
            refused = Forbidden if who == MEMBER else NotFound
        elif not acceptable(settings) or lacking:
            refused = InvalidInput
        elif self.there or self.over:
            refused = NotAllowedNow
        elif who != OWNER:
            return  # it is ada's in this story
        new = commands.NewStorageConfig(
            id="c", provider=self.provider, settings=settings, credentials=credentials, scope=self.scope,
            scope_id="g" if self.scope == "organization" else "", enabled=enabled,
        )  # fmt: skip
        if self.command(
            lambda: commands.create_storage_config(self.log, self.vault, self.clock, CAUSE, who, new, self.opening),
            refused=refused,
            again=NotAllowedNow,
        ):
            self.there, self.settings, self.enabled = True, tidy(settings), enabled
            self.options, self.secrets = self._divided(credentials)
            self.unauthorized = self.provider in CONSENTED

    @rule(
        who=ASKERS,
        settings=st.one_of(st.none(), SETTINGS),
        enabled=st.one_of(st.none(), st.booleans()),
        fresh=st.sampled_from(["", "secret-3", "secret-4"]),
        unknown=st.booleans(),
    )
    def edit(self, who: Principal, settings: Settings | None, enabled: bool | None, fresh: str, unknown: bool) -> None:
        secret = next((name for name in sorted(CREDENTIALS[self.provider]) if "secret" in name), "")
        credentials = {secret: fresh} if secret else {}
        if unknown:
            credentials["password"] = "secret-5"
        refused = self._refused(who)
        if refused is None and (unknown or (settings and not acceptable(settings))):
            refused = InvalidInput
        replaced = bool(secret and fresh)
        after = tidy(settings) if settings else self.settings
        turned = enabled is not None and enabled is not self.enabled
        changes = msgspec.structs.asdict(settings) if settings else {}
        change = commands.ConfigChange(settings=changes, credentials=credentials, enabled=enabled)
        if self.command(
            lambda: commands.edit_storage_config(
                self.log, self.vault, self.clock, CAUSE, who, "c", change, self.opening
            ),
            refused=refused,
            changes=replaced or turned or after != self.settings,
            again=replaced,  # new secrets are new each time: nobody looks at the old ones
        ):
            self.settings = after
            self.enabled = self.enabled if enabled is None else enabled
            if replaced:
                self.secrets[secret] = fresh
                self.unauthorized = self.unauthorized and self.provider in CONSENTED

    @rule(who=ASKERS, ok=st.booleans())
    def test(self, who: Principal, ok: bool) -> None:
        self.destination.ok = ok
        if self.command(
            lambda: commands.test_storage_config(
                self.log, self.vault, self.clock, CAUSE, who, "c", self.opening
            ),
            refused=self._refused(who),
            again=True,
        ) and ok:  # fmt: skip
            self.unauthorized, self.paused = False, None

    @rule(who=ASKERS)
    def delete(self, who: Principal) -> None:
        if self.command(
            lambda: commands.delete_storage_config(
                self.log,
                self.vault,
                self.clock,
                CAUSE,
                who,
                "c",
                NoConsent(),  # type: ignore[arg-type]
                LogLookups(self.log, self.clock),
            ),
            refused=self._refused(who),
            again=NotFound,
        ):
            self.there, self.over, self.enabled = False, True, False
            self.secrets = {}

    @rule()
    def be_refused_by_the_provider(self) -> None:
        changes = self.there and not self.unauthorized
        if self.there and self._told(lambda state: storage_configs.lose_authorization(state, "Revoked."), changes):
            self.unauthorized = True

    @rule(hours=st.integers(1, 3))
    def be_full(self, hours: int) -> None:
        until = self.clock.now() + timedelta(hours=hours)
        if self.there and self._told(lambda state: storage_configs.pause(state, "Full.", until), self.paused != until):
            self.paused = until

    @rule()
    def have_room_again(self) -> None:
        if self._told(storage_configs.resume, self.there and self.paused is not None):
            self.paused = None

    @rule(account=st.sampled_from(["", "ada@example.org"]))
    def be_authorized(self, account: str) -> None:
        changes = self.unauthorized or bool(account)
        refused = None if self.there else NotAllowedNow
        if self._told(lambda state: storage_configs.authorize(state, account), changes, refused, again=bool(account)):
            self.unauthorized = False

    def _told(
        self,
        decide: Callable[[StorageConfig], tuple[Event, ...]],
        changes: bool,
        refused: type[StarferryError] | None = None,
        again: bool = False,
    ) -> bool:
        """What workers and policies decide."""
        stream = storage_configs.stream_of("c")

        def act() -> Any:
            return transact(
                self.log, stream, lambda history: decide(storage_configs.fold(history)), cause=CAUSE,
                now=self.clock.now(),
            )  # fmt: skip

        return self.command(act, refused=refused, changes=changes, again=again) and changes

    def _refused(self, who: Principal) -> type[StarferryError] | None:
        """S06, S07: 404 for what they may not see, 403 for what they may see but not change."""
        if not self.there:
            return NotFound
        if who == OWNER:
            return None
        return Forbidden if self.scope == "organization" and who == MEMBER else NotFound

    def _divided(self, credentials: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        secrets = {name: value for name, value in credentials.items() if value.startswith("secret")}
        return {name: value for name, value in credentials.items() if name not in secrets}, secrets

    @invariant()
    def agrees_with_the_model(self) -> None:
        config = self.state("c")
        assert config.exists is (self.there or self.over)
        assert config.deleted is self.over
        if not config.exists:
            return
        assert config.provider == self.provider
        assert (config.settings, config.options, config.enabled) == (self.settings, self.options, self.enabled)
        assert (config.needs_authorization, config.paused_until) == (self.unauthorized, self.paused)
        assert config.ready() is (self.there and not self.unauthorized and self.paused is None)

    @invariant()
    def secrets_are_in_the_vault_alone(self) -> None:
        assert self.vault.get("c") == self.secrets
        assert "secret-" not in repr(self.log.handed_in)


StorageConfigMachine.TestCase.settings = FEW
TestStorageConfigMachine = StorageConfigMachine.TestCase
