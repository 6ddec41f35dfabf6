"""Secrets never outlive their storage configuration, whatever happens beside its deletion (S25)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from application.commands import storage_configs as commands
from application.commands.authorization import begin_authorization, complete_authorization
from application.left_secrets import SecretCleaning
from application.ports.consent import Grant
from domain.accounts import AccountCreated
from domain.errors import NotAllowedNow, RetryLater
from domain.storage_configs import Provider, Settings
from tests.fakes.lookups import LogLookups
from tests.fakes.samples import CAUSE, record
from tests.unit.test_config_commands import OWNER, Desk


class Providers:
    """Implements Consent: notes what is revoked. `meanwhile` happens while a code is exchanged."""

    def __init__(self, account: str = "ada@example.org") -> None:
        self.account, self.tokens = account, 0
        self.revoked: list[Mapping[str, str]] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.before_revoking: Callable[[], object] = lambda: None

    def page(self, provider: Provider, options: Mapping[str, str], **asked: str) -> str:
        """See Consent.page."""
        return asked["state"]

    def exchange(
        self, provider: Provider, options: Mapping[str, str], secrets: Mapping[str, str], **given: str
    ) -> Grant:
        """See Consent.exchange."""
        self.meanwhile()
        self.tokens += 1
        return Grant(f"token-{self.tokens}", self.account)

    def revoke(self, provider: Provider, options: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        """See Consent.revoke."""
        self.before_revoking()
        self.revoked.append(dict(secrets))


class Office(Desk):
    """A Dropbox destination, and the provider that its owner authorizes it at."""

    def __init__(self) -> None:
        super().__init__("dropbox", app_key="k", app_secret="s")
        self.providers, self.lookups = Providers(), LogLookups(self.log, self.clock)
        record(self.log, "account:ada", AccountCreated(username="ada"))

    def delete(self, config: str = "c") -> None:
        commands.delete_storage_config(
            self.log, self.vault, self.clock, CAUSE, OWNER, config, self.providers, self.lookups
        )

    def begin(self, config: str = "c") -> str:
        def redirect(_: Provider) -> str:
            return "https://here.example.org/"

        begun = begin_authorization(
            self.log, self.vault, self.clock, self.providers, OWNER, config,
            redirect=redirect, new_secret=lambda: f"state-of-{config}",
        )  # fmt: skip
        return begun.page

    def authorize(self, config: str = "c") -> None:
        state = self.begin(config)
        complete_authorization(
            self.log,
            self.vault,
            self.clock,
            self.providers,
            self.lookups,
            "request-1",
            "dropbox",
            state=state,
            code="x",
        )


def test_s25_secrets_are_shredded_before_the_provider_is_asked() -> None:
    office = Office()
    office.authorize()
    kept: list[frozenset[str]] = []
    office.providers.before_revoking = lambda: kept.append(office.vault.names("c"))
    office.delete()
    assert kept == [frozenset()], "whoever is killed while the provider takes its time leaves nothing"
    assert office.providers.revoked == [{"app_secret": "s", "refresh_token": "token-1"}]


def test_s25_what_another_configuration_lives_on_is_not_revoked() -> None:
    """Google revokes all that an account has given to an app."""
    office = Office()
    _create(office)
    office.authorize()
    office.authorize("d")
    office.delete()
    assert office.providers.revoked == []
    office.delete("d")
    assert office.providers.revoked == [{"app_secret": "t", "refresh_token": "token-2"}]


def test_s25_anothers_authorization_for_another_account_is_no_reason_to_keep_this_one() -> None:
    office = Office()
    _create(office)
    office.authorize()
    office.providers.account = "ben@example.org"
    office.authorize("d")
    office.delete()
    assert office.providers.revoked == [{"app_secret": "s", "refresh_token": "token-1"}]


def test_s25_an_authorization_that_comes_back_after_the_deletion_is_given_back() -> None:
    office = Office()
    office.providers.meanwhile = office.delete
    with pytest.raises(NotAllowedNow, match="deleted"):
        office.authorize()
    assert office.vault.secrets == {}
    assert office.providers.revoked == [{"app_secret": "s", "refresh_token": "token-1"}]


def test_s25_new_credentials_that_come_beside_the_deletion_are_shredded() -> None:
    office = Office()
    office.log.first = office.delete
    with pytest.raises(NotAllowedNow, match="deleted"):
        office.edit({"app_secret": "another"})
    assert office.vault.secrets == {}


def _create(office: Office) -> None:
    new = commands.NewStorageConfig(
        id="d", provider="dropbox", settings=Settings(display_name="D"),
        credentials={"app_key": "k", "app_secret": "t"},
    )  # fmt: skip
    commands.create_storage_config(office.log, office.vault, office.clock, CAUSE, OWNER, new, office.opening)


def test_s25_what_could_not_be_created_leaves_no_secrets() -> None:
    office = Office()

    def away() -> None:
        raise RetryLater("The database is away.")

    office.log.first = away
    with pytest.raises(RetryLater):
        _create(office)
    assert office.vault.get("d") == {}


def test_what_another_has_created_keeps_its_secrets() -> None:
    office = Office()
    office.log.first = lambda: _create(office)
    with pytest.raises(NotAllowedNow, match="already"):
        _create(office)
    assert office.vault.get("d") == {"app_secret": "t"}


def _cleaning(office: Office) -> SecretCleaning:
    return SecretCleaning(log=office.log, lookup=office.lookups, vault=office.vault, clock=office.clock)


def test_s25_what_is_left_of_a_deleted_configuration_is_swept_once_its_deletion_must_be_over() -> None:
    office = Office()
    _create(office)
    office.delete()
    office.vault.put("c", {"refresh_token": "left by somebody who was killed"})
    assert _cleaning(office).run() == 0
    office.clock.forward(minutes=10)
    assert _cleaning(office).run() == 1
    assert office.vault.secrets.keys() == {"d"}


def test_s27_authorizations_that_nobody_came_back_from_are_swept_when_they_have_expired() -> None:
    office = Office()
    office.begin()
    office.clock.forward(minutes=9)
    assert _cleaning(office).run() == 0
    office.clock.forward(minutes=1)
    assert (_cleaning(office).run(), _cleaning(office).run()) == (1, 0)
    assert office.vault.secrets.keys() == {"c"}
