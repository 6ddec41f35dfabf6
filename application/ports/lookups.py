"""What commands and policies ask of the read models. Every answer is as of `at_least` or later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from domain.groups import GroupKind
from domain.storage_configs import Provider


class FrameLookup(Protocol):
    """Finds frames by what they belong to."""

    def frames_of_observation(self, observation: str, *, at_least: int) -> Sequence[str]:
        """The basenames of the frames of an observation. Raises RetryLater when the read model stays behind."""
        ...

    def frames_for_destination(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """The basenames of the frames of all observations that have a configuration among their destinations, and of
        those of which a file was requested for it otherwise. Raises RetryLater."""
        ...


class ThumbnailLookup(Protocol):
    """Finds thumbnails by their names."""

    def frame_of_thumbnail(self, basename: str, *, at_least: int) -> str | None:
        """The basename of the frame that has this thumbnail; None when no frame has it."""
        ...


class TransferLookup(Protocol):
    """Finds transfers by what they belong to."""

    def open_transfers(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """Ids of the transfers to a configuration that are pending, held or in progress."""
        ...

    def unended_transfers(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """The same with those that have failed, whether or not they were cleared."""
        ...

    def open_transfers_of_frame(self, basename: str, *, at_least: int) -> Sequence[str]:
        """Ids of the transfers of a frame's files that are pending, held or in progress."""
        ...

    def failed_transfers(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """Ids of the failed ones."""
        ...

    def failed_transfers_of_observation(self, observation: str, *, at_least: int) -> Sequence[str]:
        """Ids of the failed ones of an observation's files."""
        ...

    def completed_transfers(
        self, *, storage_config: str | None = None, observation: str | None = None, at_least: int
    ) -> Sequence[str]:
        """Ids of the completed ones to a configuration, or of an observation's files."""
        ...

    def expired_records(self, completed_before: datetime) -> int:
        """How many records a TransferRecordsExpired of this time would take."""
        ...

    def running_transfers(self) -> Sequence[tuple[str, int, str]]:
        """Id, attempt and worker of every transfer in progress."""
        ...

    def due_transfers(self) -> Sequence[str]:
        """Ids of those that are pending, not held, and due now, and of those whose copy is to be checked now."""
        ...

    def held_transfers(self) -> Sequence[tuple[str, str]]:
        """Id and storage configuration of every held transfer."""
        ...

    def sessions_kept_in_vain(self) -> Sequence[str]:
        """Ids of completed and cancelled transfers for which the vault still keeps where their upload stood; and of
        those that were cleared away, whatever became of them."""
        ...

    def paused_configs(self) -> Sequence[str]:
        """Ids of the storage configurations whose pause has run out."""
        ...


class StorageConfigLookup(Protocol):
    """Finds storage configurations by what else there is of them."""

    def secrets_kept_in_vain(self) -> Sequence[str]:
        """Ids of deleted configurations of which the vault still keeps secrets."""
        ...

    def with_same_grant(
        self, provider: Provider, options: Mapping[str, str], account: str, *, at_least: int
    ) -> Sequence[str]:
        """Ids of those that aren't deleted and are authorized by the same app for the same account. Raises
        RetryLater when the read model stays behind."""
        ...


class GroupLookup(Protocol):
    """Finds what belongs to a group."""

    def belongings(self, kind: GroupKind, group: str, *, at_least: int) -> Sequence[str]:
        """Ids of the storage configurations and projects of an organization or project that aren't deleted."""
        ...
