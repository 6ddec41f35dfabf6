"""Webhooks, and the choice of mail, under any order of commands: addresses and keys are in the vault alone, and go."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from application.commands import mail_notices as mail_commands
from application.commands import webhooks as commands
from application.commands.webhooks import NewWebhook
from application.permissions import Principal
from domain import mail_notices, webhooks
from domain.errors import InvalidInput, NotAllowedNow, NotFound, StarferryError, Unauthenticated
from domain.webhooks import Interest
from tests.fakes.file_store import OpenVault
from tests.property.aggregate_machine import CAUSE, FEW, AggregateMachine

ADA, BEN, ROOT = Principal("ada"), Principal("ben"), Principal("root", is_superuser=True)
ASKERS = st.sampled_from([ADA, ADA, BEN, ROOT, Principal()])
HOOKS = st.sampled_from(["h1", "h2", "h3"])
URLS = st.sampled_from(["https://hooks.example.org/secret-path", "ftp://wrong"])
NAMES = st.sampled_from(["Pipeline", "", "x" * 201])
INTERESTS: st.SearchStrategy[tuple[Interest, ...]] = st.sampled_from([("state",), ("failure", "progress"), ()])
ADDRESSES = st.sampled_from(["", "secret@example.org", "ben@example.org", "no address", "a@b, c@d"])


class KnownHosts:
    """Implements the part of WebhookSender that looks at addresses."""

    def check(self, url: str) -> str:
        """See WebhookSender.check."""
        if not url.startswith("https://"):
            raise InvalidInput("Not such an address.", field="url")
        return "hooks.example.org"


class Mine:
    """Implements the part of WebhookLookup that counts."""

    def __init__(self, owners: dict[str, str]) -> None:
        self._owners = owners

    def webhooks_of(self, owner: str) -> list[str]:
        """See WebhookLookup.webhooks_of."""
        return [hook for hook, whose in self._owners.items() if whose == owner]


class WebhookMachine(AggregateMachine):
    aggregate, prefix = webhooks, "webhook:"

    def __init__(self) -> None:
        super().__init__()
        self.vault = OpenVault()
        self.owners: dict[str, str] = {}
        self.told: dict[str, tuple[str, tuple[Interest, ...]]] = {}
        self.over: set[str] = set()

    @rule(who=ASKERS, hook=HOOKS, url=URLS, name=NAMES, interests=INTERESTS)
    def create(self, who: Principal, hook: str, url: str, name: str, interests: tuple[Interest, ...]) -> None:
        new = NewWebhook(id=hook, url=url, secret="secret-key", name=name, interests=interests)
        refused: type[StarferryError] | None = None
        if not who.username:
            refused = Unauthenticated
        elif not url.startswith("https"):
            refused = InvalidInput
        elif hook in self.owners or hook in self.over:
            refused = NotAllowedNow
        elif not 1 <= len(name) <= 200 or not interests:
            refused = InvalidInput
        if self.command(
            lambda: commands.create_webhook(
                self.log, self.vault, self.clock, CAUSE, who, new,
                KnownHosts(), Mine(self.owners),  # type: ignore[arg-type]
            ),
            refused=refused,
            again=NotAllowedNow,
        ):  # fmt: skip
            self.owners[hook], self.told[hook] = who.username, (name, interests)

    @rule(who=ASKERS, hook=HOOKS)
    def delete(self, who: Principal, hook: str) -> None:
        refused: type[StarferryError] | None = Unauthenticated if not who.username else None
        if refused is None and (hook not in self.owners or not (who.is_superuser or self.owners[hook] == who.username)):
            refused = NotFound
        if self.command(
            lambda: commands.delete_webhook(self.log, self.vault, self.clock, CAUSE, who, hook),
            refused=refused,
            again=NotFound,
        ):
            del self.owners[hook]
            self.over.add(hook)

    @invariant()
    def agrees_with_the_model(self) -> None:
        for hook in ("h1", "h2", "h3"):
            found = self.state(hook)
            assert found.there is (hook in self.owners)
            assert bool(self.vault.names(hook)) is found.there
            if found.there:
                assert found.owner == self.owners[hook]
                assert (found.name, found.interests) == self.told[hook]

    @invariant()
    def secrets_are_in_the_vault_alone(self) -> None:
        assert "secret" not in repr(self.log.handed_in)


class Choice(msgspec.Struct):
    """What a person would note."""

    enabled: bool = False
    address: str = ""


class MailMachine(AggregateMachine):
    aggregate, prefix = mail_notices, "mail_notices:"

    def __init__(self) -> None:
        super().__init__()
        self.vault = OpenVault()
        self.choices = {"ada": Choice(), "ben": Choice()}

    @rule(who=st.sampled_from([ADA, BEN, Principal()]), enabled=st.booleans(), address=ADDRESSES)
    def choose(self, who: Principal, enabled: bool, address: str) -> None:
        refused: type[StarferryError] | None = None
        if not who.username:
            refused = Unauthenticated
        elif address.endswith("@example.org"):
            pass
        elif address or (enabled and not self.choices[who.username].address):
            refused = InvalidInput
        if self.command(
            lambda: mail_commands.choose_mail_notices(
                self.log, self.vault, self.clock, CAUSE, who, enabled, address
            ),
            refused=refused,
            again=True,  # it is told anew: the address, which the log doesn't know, may be another
        ):  # fmt: skip
            before = self.choices[who.username]
            self.choices[who.username] = Choice(enabled, address or before.address)

    @rule(who=st.sampled_from([ADA, BEN, Principal()]))
    def forget(self, who: Principal) -> None:
        if self.command(
            lambda: mail_commands.forget_mail_notices(self.log, self.vault, self.clock, CAUSE, who),
            refused=None if who.username else Unauthenticated,
            changes=bool(who.username) and self.choices[who.username].enabled,
        ):
            self.choices[who.username] = Choice()

    @invariant()
    def agrees_with_the_model(self) -> None:
        for name, choice in self.choices.items():
            assert self.state(name).enabled is choice.enabled
            assert self.vault.get(mail_notices.vault_owner(name)).get("address", "") == choice.address

    @invariant()
    def addresses_are_in_the_vault_alone(self) -> None:
        assert "@" not in repr(self.log.handed_in)


WebhookMachine.TestCase.settings = MailMachine.TestCase.settings = FEW
TestWebhookMachine = WebhookMachine.TestCase
TestMailMachine = MailMachine.TestCase
