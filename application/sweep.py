"""Stuck never means lost (S57): whatever is due and that no worker holds is queued again. Safe at any time."""

from __future__ import annotations

from datetime import datetime

import msgspec

from application.commands.storage_configs import load_config
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.jobs import Jobs
from application.ports.lookups import TransferLookup
from application.ports.workers import Workers
from application.transact import transact
from application.worker_cause import worker_cause
from domain import storage_configs, transfers
from domain.event import Event
from domain.storage_configs import StorageConfig

CAUSE = worker_cause("sweep")


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """What the sweep needs."""

    log: EventLog
    lookup: TransferLookup
    workers: Workers
    jobs: Jobs
    clock: Clock

    def run(self) -> dict[str, int]:
        """Do all four and return how many of each there were."""
        return {
            "interrupted": self._interrupt_orphans(),
            "resumed": self._resume_destinations(),
            "released": self._release_held(),
            "nudged": self._nudge_due(),
        }

    def _interrupt_orphans(self) -> int:
        """Running transfers of dead workers go on at once, without using up an attempt (S49)."""
        running = self.lookup.running_transfers()
        gone = self.workers.gone(sorted({worker for _, _, worker in running}))
        orphans = [(transfer, attempt) for transfer, attempt, worker in running if worker in gone]
        for transfer, attempt in orphans:
            transact(
                self.log,
                transfers.stream_of(transfer),
                lambda history, attempt=attempt: transfers.interrupt(  # type: ignore[misc]
                    transfers.fold(history), attempt, "The worker was lost."
                ),
                cause=CAUSE,
                now=self.clock.now(),
            )
        return len(orphans)

    def _resume_destinations(self) -> int:
        """A pause that has run out ends; the next attempt is the probe (S46)."""
        paused = self.lookup.paused_configs()
        now = self.clock.now()
        for config_id in paused:
            transact(
                self.log,
                storage_configs.stream_of(config_id),
                lambda history: _resume(storage_configs.fold(history), now),
                cause=CAUSE,
                now=now,
            )
        return len(paused)

    def _release_held(self) -> int:
        """A transfer may have been held in the moment in which its destination came back, or was deleted (a worker
        then cancels it)."""
        held = self.lookup.held_transfers()
        configs = {config: load_config(self.log, config) for config in dict.fromkeys(config for _, config in held)}
        waiting = [transfer for transfer, config in held if configs[config].ready() or configs[config].deleted]
        for transfer in waiting:
            transact(
                self.log,
                transfers.stream_of(transfer),
                lambda history: transfers.release(transfers.fold(history)),
                cause=CAUSE,
                now=self.clock.now(),
            )
        return len(waiting)

    def _nudge_due(self) -> int:
        due = self.lookup.due_transfers()
        self.jobs.nudge([(transfer, None) for transfer in due])
        return len(due)


def _resume(config: StorageConfig, now: datetime) -> tuple[Event, ...]:
    """The end of a pause, unless a worker has met a full destination again since the read model was asked."""
    return storage_configs.resume(config) if config.paused_until and config.paused_until <= now else ()
