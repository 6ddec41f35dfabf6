"""The lookups, answered by reading a whole event log: always up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from application.ports.clock import Clock
from application.ports.event_log import EventLog
from domain import frames, observations, storage_configs, transfers
from domain.event import Recorded
from domain.storage_configs import Provider, StorageConfig
from domain.transfer_events import TransferCompleted
from domain.transfers import Transfer


class LogLookups:
    """Implements FrameLookup, ThumbnailLookup, TransferLookup and StorageConfigLookup."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    def frames_of_observation(self, observation: str, *, at_least: int) -> Sequence[str]:
        """See FrameLookup."""
        assert self._log.head() >= at_least
        states = {stream: frames.fold(history) for stream, history in self._streams("frame:").items()}
        return [
            stream.removeprefix("frame:")
            for stream, frame in states.items()
            if frame.exists and frame.observation == observation
        ]

    def frames_for_destination(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """See FrameLookup."""
        assert self._log.head() >= at_least
        states = [observations.fold(history) for history in self._streams("observation:").values()]
        selecting = [state.id for state in states if storage_config in state.destinations]
        found = {name for one in selecting for name in self.frames_of_observation(one, at_least=at_least)}
        return sorted(found | {state.request.frame for state in self._to(storage_config).values() if state.request})

    def frame_of_thumbnail(self, basename: str, *, at_least: int) -> str | None:
        """See ThumbnailLookup."""
        assert self._log.head() >= at_least
        for stream, history in self._streams("frame:").items():
            if frames.fold(history).thumbnail(basename):
                return stream.removeprefix("frame:")
        return None

    def open_transfers(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        assert self._log.head() >= at_least
        return [name for name, state in self._to(storage_config).items() if state.status in ("pending", "in_progress")]

    def unended_transfers(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        assert self._log.head() >= at_least
        unended = ("pending", "in_progress", "failed")
        return [name for name, state in self._to(storage_config).items() if state.status in unended]

    def open_transfers_of_frame(self, basename: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        assert self._log.head() >= at_least
        return [
            name
            for name, state in self._transfers().items()
            if state.request and state.request.frame == basename and state.status in ("pending", "in_progress")
        ]

    def failed_transfers(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        return [name for name, state in self._to(storage_config).items() if state.status == "failed"]

    def failed_transfers_of_observation(self, observation: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        return [
            name
            for name, state in self._transfers().items()
            if state.request and state.request.observation == observation and state.status == "failed"
        ]

    def completed_transfers(
        self, *, storage_config: str | None = None, observation: str | None = None, at_least: int
    ) -> Sequence[str]:
        """See TransferLookup."""
        assert self._log.head() >= at_least
        return [
            name
            for name, state in self._transfers().items()
            if state.status == "completed"
            and state.request
            and storage_config in (None, state.request.storage_config)
            and observation in (None, state.request.observation)
        ]

    def expired_records(self, completed_before: datetime) -> int:
        """See TransferLookup."""
        expired = 0
        for history in self._streams("transfer:").values():
            state = transfers.fold(history)
            ended = [one.at for one in history if isinstance(one.event, TransferCompleted)]
            expired += state.delivered and not state.checking and ended[-1] < completed_before
        return expired

    def running_transfers(self) -> Sequence[tuple[str, int, str]]:
        """See TransferLookup."""
        running = self._transfers().items()
        return [(name, state.attempts, state.worker) for name, state in running if state.status == "in_progress"]

    def due_transfers(self) -> Sequence[str]:
        """See TransferLookup."""
        now = self._clock.now()
        return [name for name, state in self._transfers().items() if transfers.is_due(state, now)]

    def held_transfers(self) -> Sequence[tuple[str, str]]:
        """See TransferLookup."""
        return [
            (name, state.request.storage_config)
            for name, state in self._transfers().items()
            if state.held and state.request
        ]

    def sessions_kept_in_vain(self) -> Sequence[str]:
        """See TransferLookup. As if the vault kept one for each."""
        return [name for name, state in self._transfers().items() if state.status in ("completed", "cancelled")]

    def paused_configs(self) -> Sequence[str]:
        """See TransferLookup."""
        now = self._clock.now()
        return [
            state.id
            for state in self._configs()
            if state.paused_until and state.paused_until <= now and not state.deleted
        ]

    def secrets_kept_in_vain(self) -> Sequence[str]:
        """See StorageConfigLookup. As if the vault kept some of each."""
        return [state.id for state in self._configs() if state.deleted]

    def with_same_grant(
        self, provider: Provider, options: Mapping[str, str], account: str, *, at_least: int
    ) -> Sequence[str]:
        """See StorageConfigLookup."""
        assert self._log.head() >= at_least
        wanted = (provider, options, account, False)
        return [one.id for one in self._configs() if (one.provider, one.options, one.account, one.deleted) == wanted]

    def _to(self, storage_config: str) -> dict[str, Transfer]:
        return {
            name: state
            for name, state in self._transfers().items()
            if state.request and state.request.storage_config == storage_config
        }

    def _configs(self) -> list[StorageConfig]:
        return [storage_configs.fold(history) for history in self._streams("storage_config:").values()]

    def _transfers(self) -> dict[str, Transfer]:
        found = self._streams("transfer:")
        return {stream.removeprefix("transfer:"): transfers.fold(history) for stream, history in found.items()}

    def _streams(self, prefix: str) -> dict[str, list[Recorded]]:
        streams: dict[str, list[Recorded]] = {}
        for recorded in self._log.read(0, 1_000_000).events:
            if recorded.stream.startswith(prefix):
                streams.setdefault(recorded.stream, []).append(recorded)
        return streams
