"""The table of transfers that are due, or will be, by the rules of adapters/jobs/waiting.py and migration 0016."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

import msgspec

from tests.simulation.kernel import SECOND

UNSYNCED = 30 * SECOND
"""What was written in this time before a power cut is undone. PostgreSQL loses less: what was written before the last
event, or more than 0.6 seconds ago, is on the disk."""


class Row(msgspec.Struct, frozen=True):
    """A transfer waits for its destination. `due_at` is in microseconds of simulated time; `since` counts."""

    storage_config: str
    due_at: int
    since: int
    size: int | None


class Waiting:
    """The rows by transfer, and which changes a power cut would undo."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._unsynced: list[tuple[int, str, Row | None]] = []
        self._count = 0

    def put(self, transfers: Mapping[str, tuple[str, int]], now: int, sizes: Mapping[str, int]) -> bool:
        """See WaitingTransfers.put. Whether something that was put is due, so that workers are told."""
        told = False
        for transfer, (config, at) in transfers.items():
            row = self.rows.get(transfer)
            if row is None or row.due_at > at:
                since, size = (row.since, row.size) if row else (self._next(), sizes.get(transfer))
                self._set(transfer, Row(config, at, since, size), now)
                told |= at <= now
        return told

    def put_off(self, storage_config: str, transfer: str, microseconds: int, now: int) -> None:
        """See WaitingTransfers.put_off."""
        if transfer not in self.rows:
            self._set(transfer, Row(storage_config, now + microseconds, self._next(), None), now)

    def destinations(self, turn: str, after: str, most: int, now: int) -> Sequence[str]:
        """See WaitingTransfers.destinations."""
        due = sorted({row.storage_config for row in self.rows.values() if row.due_at <= now})
        if after < turn:  # around already
            return [config for config in due if after < config <= turn][:most]
        return [*(config for config in due if config > after), *(config for config in due if config <= turn)][:most]

    def take(self, storage_config: str, most: int, sharers: int, now: int) -> Sequence[str]:
        """See WaitingTransfers.take. All files are small here; one whose size isn't known goes alone."""
        due = sorted(
            (row.due_at, row.since, transfer)
            for transfer, row in self.rows.items()
            if row.storage_config == storage_config and row.due_at <= now
        )
        share = [transfer for _, _, transfer in due[: min(most, -(-len(due) // sharers))]]
        small = list(takewhile(lambda transfer: self.rows[transfer].size is not None, share))
        taken = small or share[:1]
        for transfer in taken:
            self._set(transfer, None, now)
        return taken

    def next_at(self) -> int | None:
        """When the first is due, or was."""
        return min((row.due_at for row in self.rows.values()), default=None)

    def cut_power(self, now: int) -> None:
        """What was written last is undone: rows are lost, and some that were taken are back."""
        for at, transfer, before in reversed(self._unsynced):
            if at < now - UNSYNCED:
                break
            self._replace(transfer, before)
        self._unsynced.clear()

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _set(self, transfer: str, row: Row | None, now: int) -> None:
        self._unsynced.append((now, transfer, self.rows.get(transfer)))
        self._replace(transfer, row)

    def _replace(self, transfer: str, row: Row | None) -> None:
        if row is None:
            self.rows.pop(transfer, None)
        else:
            self.rows[transfer] = row
