"""Storage configurations: what their owner and the workers may do to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from domain import storage_configs
from domain.errors import InvalidInput, NotAllowedNow
from domain.event import Event
from domain.storage_configs import (
    FileContent,
    Settings,
    StorageConfig,
    StorageConfigAuthorizationLost,
    StorageConfigAuthorized,
    StorageConfigDeleted,
    StorageConfigDisabled,
    StorageConfigEdited,
    StorageConfigEnabled,
    StorageConfigPaused,
    StorageConfigRecovered,
    StorageConfigResumed,
    StorageConfigTested,
)
from tests.fakes.clock import NOON
from tests.fakes.samples import config_created, recorded

CREATED = config_created("cfg-a")
LOST = StorageConfigAuthorizationLost(reason="The token was revoked.")
PAUSED = StorageConfigPaused(reason="Full.", until=NOON)
DELETED = StorageConfigDeleted()


def after(*events: Event) -> StorageConfig:
    return storage_configs.fold(recorded(CREATED, *events))


def test_a_new_configuration_is_enabled_and_ready() -> None:
    config = after()
    assert (config.id, config.owner, config.enabled, config.ready()) == ("cfg-a", "ana", True, True)
    assert storage_configs.stream_of("cfg-a") == "storage_config:cfg-a"


def test_what_was_never_created_is_not_ready() -> None:
    assert not storage_configs.fold([]).ready()


def test_s15_s16_new_settings_are_raw_files_without_deletion() -> None:
    settings = Settings(display_name="Mine")
    assert (settings.file_content, settings.delete_from_server) == ("raw", False)


@pytest.mark.parametrize(
    ("file_content", "raw", "calibrated"),
    [("raw", True, False), ("calibrated", False, True), ("raw_and_calibrated", True, True)],
)
def test_s15_the_file_content_says_which_files_are_wanted(
    file_content: FileContent, raw: bool, calibrated: bool
) -> None:
    settings = Settings(display_name="Mine", file_content=file_content)
    assert (settings.wants("raw"), settings.wants("calibrated")) == (raw, calibrated)


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * 201, "a\nb", "a\u2028b", "a\x1bb", "a\u202eb", "a\u2066b", "a\u2069b"]
)
def test_s11_a_display_name_has_1_to_200_printable_characters(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        storage_configs.check_settings(Settings(display_name=name))
    assert refused.value.field == "display_name"


@pytest.mark.parametrize("name", ["x", "x" * 200, "  ✨  "])
def test_other_display_names_are_fine(name: str) -> None:
    storage_configs.check_settings(Settings(display_name=name))


def test_s14_a_comment_has_at_most_2000_characters() -> None:
    storage_configs.check_settings(Settings(display_name="x", comment="of several\nlines".ljust(2000)))
    with pytest.raises(InvalidInput, match="2000") as refused:
        storage_configs.check_settings(Settings(display_name="x", comment="x" * 2001))
    assert refused.value.field == "comment"


def test_settings_that_an_earlier_program_took_are_no_reason_to_refuse_new_secrets() -> None:
    old = msgspec.structs.replace(after(), settings=Settings(display_name="a\u202eb"))
    assert storage_configs.edit(old, old.settings, old.options, 2)


def test_an_edit_replaces_the_settings_and_keeps_the_provider() -> None:
    wanted = msgspec.structs.replace(CREATED.settings, path_template="$USER", delete_from_server=True)
    events = storage_configs.edit(after(), wanted, {"root": "/nas"}, None)
    assert events == (StorageConfigEdited(settings=wanted, options={"root": "/nas"}),)
    config = after(*events)
    assert (config.settings, config.options, config.provider) == (wanted, {"root": "/nas"}, "folder")


def test_an_edit_that_changes_nothing_leaves_no_trace() -> None:
    assert storage_configs.edit(after(), CREATED.settings, CREATED.options, None) == ()


def test_new_secrets_are_an_edit_even_if_nothing_else_changes() -> None:
    (event,) = storage_configs.edit(after(), CREATED.settings, CREATED.options, 2)
    assert isinstance(event, StorageConfigEdited)
    assert event.credentials_version == 2


def test_an_edit_with_a_bad_setting_is_refused() -> None:
    with pytest.raises(InvalidInput):
        storage_configs.edit(after(), Settings(display_name=""), {}, None)


def test_s17_s33_disabling_and_enabling_change_only_the_offer() -> None:
    disabled = after(*storage_configs.enable(after(), False))
    assert not disabled.enabled
    assert disabled.ready(), "queued transfers of a disabled configuration go on"
    assert storage_configs.enable(disabled, True) == (StorageConfigEnabled(),)
    assert after(StorageConfigDisabled(), StorageConfigEnabled()).enabled


@pytest.mark.parametrize("enabled", [True, False])
def test_enabling_what_is_enabled_changes_nothing(enabled: bool) -> None:
    config = after() if enabled else after(StorageConfigDisabled())
    assert storage_configs.enable(config, enabled) == ()


def test_a_configuration_that_lost_its_authorization_waits_for_its_owner() -> None:
    events = storage_configs.lose_authorization(after(), "The token was revoked.")
    assert events == (LOST,)
    assert after(LOST).needs_authorization
    assert not after(LOST).ready()


@pytest.mark.parametrize("history", [[LOST], [DELETED]])
def test_a_second_worker_that_meets_the_refusal_changes_nothing(history: list[Event]) -> None:
    assert storage_configs.lose_authorization(after(*history), "Again.") == ()


def test_authorizing_makes_it_ready_again_and_remembers_the_account() -> None:
    (event,) = storage_configs.authorize(after(LOST), "ana@example.org")
    assert event == StorageConfigAuthorized(account="ana@example.org")
    assert after(LOST, event).ready()


def test_authorizing_with_another_account_is_recorded_even_when_nothing_was_lost() -> None:
    assert storage_configs.authorize(after(), "other@example.org") == (
        StorageConfigAuthorized(account="other@example.org"),
    )


def test_working_credentials_of_a_working_configuration_change_nothing() -> None:
    assert storage_configs.authorize(after()) == ()


def test_a_full_destination_pauses_and_resumes() -> None:
    events = storage_configs.pause(after(), "Full.", NOON)
    assert events == (PAUSED,)
    assert not after(PAUSED).ready()
    assert storage_configs.resume(after(PAUSED)) == (StorageConfigResumed(),)
    assert after(PAUSED, StorageConfigResumed()).ready()


def test_a_pause_can_be_prolonged_but_not_said_twice() -> None:
    later = NOON + timedelta(hours=1)
    assert storage_configs.pause(after(PAUSED), "Full.", later) == (StorageConfigPaused(reason="Full.", until=later),)
    assert storage_configs.pause(after(PAUSED), "Full.", NOON) == ()


@pytest.mark.parametrize("history", [[], [PAUSED, DELETED]])
def test_resuming_what_is_not_paused_changes_nothing(history: list[Event]) -> None:
    assert storage_configs.resume(after(*history)) == ()


def test_s46_how_long_it_takes_nothing_counts_from_the_first_pause_until_a_file_arrives() -> None:
    later = recorded(CREATED, PAUSED, StorageConfigResumed())
    later += recorded(*[CREATED] * 3, PAUSED, at=NOON + timedelta(days=1))[3:]
    assert storage_configs.fold(later).taking_nothing_since == NOON
    assert after(PAUSED, StorageConfigResumed()).taking_nothing_since == NOON, "nobody knows yet"
    assert after(PAUSED, StorageConfigResumed(), StorageConfigRecovered()).taking_nothing_since is None
    assert after(PAUSED, StorageConfigRecovered()).paused_until == NOON, "what had begun before ends no pause"


def test_s46_only_the_first_file_after_a_pause_is_told() -> None:
    assert storage_configs.recover(after(PAUSED, StorageConfigResumed())) == (StorageConfigRecovered(),)
    for history in ([], [PAUSED, StorageConfigResumed(), StorageConfigRecovered()], [PAUSED, DELETED]):
        assert storage_configs.recover(after(*history)) == ()


def test_a_deleted_configuration_cannot_pause() -> None:
    assert storage_configs.pause(after(DELETED), "Full.", NOON) == ()


def test_authorization_does_not_end_a_pause_nor_the_other_way_round() -> None:
    assert not after(LOST, PAUSED, StorageConfigAuthorized()).ready()
    assert not after(LOST, PAUSED, StorageConfigResumed()).ready()


def test_deleting_is_for_ever_and_twice_is_once() -> None:
    assert storage_configs.delete(after()) == (DELETED,)
    gone = after(DELETED)
    assert (gone.deleted, gone.enabled, gone.ready()) == (True, False, False)
    assert storage_configs.delete(gone) == ()


@pytest.mark.parametrize("config", [after(DELETED), storage_configs.fold([])])
def test_a_deleted_configuration_can_only_stay_deleted(config: StorageConfig) -> None:
    decisions: tuple[Callable[[], object], ...] = (
        lambda: storage_configs.edit(config, CREATED.settings, {}, None),
        lambda: storage_configs.enable(config, True),
        lambda: storage_configs.authorize(config, "ana@example.org"),
    )
    for decide in decisions:
        with pytest.raises(NotAllowedNow, match="deleted"):
            decide()


def test_a_test_result_changes_no_state() -> None:
    tested = after(StorageConfigTested(ok=False, reason="No such folder."))
    assert msgspec.structs.replace(tested, stream_version=1) == after()
