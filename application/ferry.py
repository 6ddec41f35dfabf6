"""A worker: takes what waits for a destination, wins it, and carries it there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from application.commands.storage_configs import load_config
from application.copy_check import CopyCheck
from application.failed_attempts import FailedAttempts
from application.ferry_means import FerryMeans
from application.shipment import Shipment
from application.transfer_streams import History
from domain import transfers
from domain.errors import NotAllowedNow, RetryLater, StarferryError, StreamConflict
from domain.event import Event
from domain.storage_configs import StorageConfig
from domain.transfers import Transfer

LONGEST_PUT_OFF = 3600.0
"""Seconds. What isn't due by this worker's clock is looked at again by then: the clock may be wrong."""


def nobody() -> None:
    """Where nobody else carries."""


class Ferry(FerryMeans, frozen=True, kw_only=True):
    """One worker with its means."""

    def settle(self) -> None:
        """See FailedAttempts.settle."""
        self._failed.settle()

    def go_on(self, another: Callable[[], object] = nobody) -> None:
        """Carry those that wait, as long as there are any and places for them. `another` is called when there may be
        more that could be carried at the same time."""
        self.settle()
        while self._carry_next(another):
            pass

    def _carry_next(self, another: Callable[[], object]) -> bool:
        waiting = iter(self.limits.waiting())
        for config_id in waiting:
            config = load_config(self.log, config_id)
            berth = self.limits.take(config_id, config.settings.max_transfers)
            if berth is None:
                continue
            try:
                first = self.limits.first(config_id, together=_unlimited(config))
                if first:
                    if self.limits.room(config_id) or next(waiting, None) is not None:
                        another()
                    self._carry(first, config)
                    return True
            finally:
                self.limits.give_back(berth)
        return False

    def _carry(self, transfer_ids: Sequence[str], config: StorageConfig) -> None:
        wanted = {
            one: history
            for one, history in self.streams.histories(transfer_ids).items()
            if self._is_to_be_sent(one, transfers.fold(history), config)
        }
        won = self._won(wanted) if wanted else {}
        if won:
            Shipment(self, config, won).carry()

    def _is_to_be_sent(self, transfer_id: str, transfer: Transfer, config: StorageConfig) -> bool:
        """Whether there is a copy to be made now; whatever else there is to do is done."""
        if transfer.request is None or not self._is_due(transfer_id, transfer, config):
            return False
        if transfer.status == "completed":
            self._check.run(transfer_id, transfer, config)
            return False
        if not config.ready():
            now = self.clock.now()
            self.streams.change(transfer_id, lambda state: _turn_away(state, config, now))
            return False
        return True

    def _is_due(self, transfer_id: str, transfer: Transfer, config: StorageConfig) -> bool:
        """Whether there is something to do now. What will be due waits on."""
        early = transfers.seconds_until_due(transfer, self.clock.now())
        if early is None:
            return False
        if early <= 0 or (config.deleted and transfer.status == "pending"):  # then it is cancelled at once
            return True
        self.limits.put_off(config.id, transfer_id, min(early, LONGEST_PUT_OFF))
        return False

    def _won(self, wanted: Mapping[str, History]) -> dict[str, History]:
        """The transfers' histories with the start of an attempt of ours; without those where others were first."""
        now, attempts = self.clock.now(), dict[str, int]()

        def start(transfer_id: str, state: Transfer) -> tuple[Event, ...]:
            started = transfers.start(state, self.worker, now)
            attempts[transfer_id] = state.attempts + 1
            return started

        try:
            results = self.streams.change_all(wanted, start)
        except RetryLater:
            self.unsettled.update(attempts)  # the starts may be stored all the same
            raise
        won: dict[str, History] = {}
        for transfer_id, result in results.items():
            match result:
                case NotAllowedNow() | StreamConflict():
                    pass
                case StarferryError():
                    self.unsettled[transfer_id] = attempts[transfer_id]
                case _:
                    won[transfer_id] = result
        return won

    @property
    def _failed(self) -> FailedAttempts:
        return FailedAttempts(self)

    @property
    def _check(self) -> CopyCheck:
        return CopyCheck(
            log=self.log,
            vault=self.vault,
            clock=self.clock,
            open_destination=self.open_destination,
            worker=self.worker,
            tell_destination=self._failed.tell_destination,
            schedule=self.schedule,
        )


def _unlimited(config: StorageConfig) -> bool:
    """Whether it doesn't matter how many of the destination's transfers have begun."""
    return config.settings.max_transfers is None and not config.settings.max_bytes_per_second


def _turn_away(state: Transfer, config: StorageConfig, now: datetime) -> tuple[Event, ...]:
    """What becomes of a transfer whose destination takes nothing now."""
    if state.status != "pending":
        return ()  # another worker began before the destination closed; it may finish (S34)
    if config.deleted:
        return transfers.cancel(state, "Its storage configuration was deleted.")
    if config.needs_authorization:
        return transfers.hold(state, "The destination must be authorized again.")
    reason = config.pause_reason or "The destination is paused."
    return transfers.wait_for_pause(state, reason, now, config.taking_nothing_since)
