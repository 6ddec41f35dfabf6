"""What a worker that carries transfers has at hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import BinaryIO

import msgspec

from application.pacing import Wait
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.file_store import FileStore
from application.ports.limits import Limits
from application.ports.open_destination import OpenDestination
from application.ports.vault import Vault
from application.transfer_news import Sent
from application.transfer_streams import TransferStreams
from domain.hashes import Hashes
from domain.transfers import RETRY_SCHEDULE

HashFile = Callable[[BinaryIO], tuple[int, Hashes]]
TellProgress = Callable[[Sent], None]


def tell_nobody(_: Sent) -> None:
    """Where nobody listens."""


class FerryMeans(msgspec.Struct, frozen=True, kw_only=True):
    """`worker` names it in events; `schedule` holds the waits after failures, in seconds; `wait` lets seconds pass."""

    log: EventLog
    store: FileStore
    vault: Vault
    clock: Clock
    open_destination: OpenDestination
    limits: Limits
    hash_file: HashFile
    worker: str
    schedule: Sequence[float] = RETRY_SCHEDULE
    wait: Wait = time.sleep
    tell_progress: TellProgress = tell_nobody
    """Tells those who listen how far a transfer is; called after every piece, raises nothing."""
    unsettled: dict[str, int] = msgspec.field(default_factory=dict)
    """Attempts of ours by transfer whose end could not be recorded (the database was away)."""

    @property
    def streams(self) -> TransferStreams:
        """The transfers' events."""
        return TransferStreams(self.log, self.clock, self.worker)
