"""What becomes of a storage configuration when two change it at the same time, and of one that can't be opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapters.event_store.memory import MemoryEventLog
from application.commands import storage_configs as commands
from application.permissions import Principal
from application.ports.destination import Check
from application.ports.event_log import Commit
from domain.errors import GiveUp
from domain.storage_configs import Provider, Settings, StorageConfigTested
from tests.fakes.clock import StillClock
from tests.fakes.destination import OneDestination, ScriptedDestination
from tests.fakes.file_store import OpenVault
from tests.fakes.samples import CAUSE

OWNER = Principal("ada")


class BusyLog(MemoryEventLog):
    """A log in which somebody else is faster, once: `first` happens between a command's read and its write."""

    def __init__(self) -> None:
        super().__init__()
        self.first: Callable[[], object] | None = None

    def append(self, commit: Commit) -> int:
        """See EventLog.append."""
        first, self.first = self.first, None
        if first:
            first()
        return super().append(commit)


class Desk:
    """One configuration, `c`, and what its owner does to it."""

    def __init__(self, provider: Provider = "folder", **credentials: str) -> None:
        self.log, self.vault, self.clock = BusyLog(), OpenVault(), StillClock()
        self.opening = OneDestination(ScriptedDestination())
        new = commands.NewStorageConfig(
            id="c", provider=provider, settings=Settings(display_name="Mine"), credentials=credentials or {"root": "/a"}
        )
        commands.create_storage_config(self.log, self.vault, self.clock, CAUSE, OWNER, new, self.opening)

    def edit(self, credentials: dict[str, str] | None = None, **settings: Any) -> None:
        change = commands.ConfigChange(settings=settings, credentials=credentials or {})
        commands.edit_storage_config(self.log, self.vault, self.clock, CAUSE, OWNER, "c", change, self.opening)


def test_s16_an_edit_that_lands_between_anothers_read_and_write_is_kept() -> None:
    desk = Desk()
    desk.log.first = lambda: desk.edit(delete_from_server=True)
    desk.edit(comment="The old NAS.")
    settings = commands.load_config(desk.log, "c").settings
    assert (settings.delete_from_server, settings.comment) == (True, "The old NAS.")


def test_s24_so_are_its_options() -> None:
    desk = Desk("s3", bucket="b", access_key="k", secret_key="s")
    desk.log.first = lambda: desk.edit({"region": "eu-central-1"})
    desk.edit({"bucket": "other"})
    assert commands.load_config(desk.log, "c").options == {"bucket": "other", "region": "eu-central-1"}


def test_s29_a_destination_that_cant_be_opened_has_failed_its_test() -> None:
    desk = Desk()
    desk.opening.trouble = GiveUp("The endpoint can't be used.")
    checks = commands.test_storage_config(desk.log, desk.vault, desk.clock, CAUSE, OWNER, "c", desk.opening)
    assert checks == [Check("credentials", False, "The endpoint can't be used.")]
    tested = [one.event for one in desk.log.load("storage_config:c") if isinstance(one.event, StorageConfigTested)]
    assert tested == [StorageConfigTested(ok=False, reason="The endpoint can't be used.")]
