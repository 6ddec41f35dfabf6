"""Holds the chunks of one running transfer back, so that its destination gets no more bytes a second than it may."""

from __future__ import annotations

import time
from collections.abc import Callable

from application.commands.storage_configs import load_config
from application.ports.event_log import EventLog
from application.ports.limits import Limits
from domain.storage_configs import StorageConfig

LOOK_BYTES = 64 * 1024 * 1024
"""A transfer without a limit looks this often whether it has got one; one with a limit, at each chunk."""

Wait = Callable[[float], object]
"""Lets so many seconds pass."""


class Pace:
    """Of one attempt. Call `before` each chunk."""

    def __init__(self, log: EventLog, limits: Limits, config: StorageConfig, wait: Wait = time.sleep) -> None:
        self._log = log
        self._limits = limits
        self._config = config.id
        self._rate = config.settings.max_bytes_per_second
        self._wait = wait
        self._unseen = 0

    def before(self, size: int) -> float:
        """Wait until `size` more bytes may be sent, and return how many seconds that took."""
        self._unseen += size
        if self._rate or self._unseen >= LOOK_BYTES:
            self._rate = load_config(self._log, self._config).settings.max_bytes_per_second
            self._unseen = 0
        if not self._rate:
            return 0.0
        seconds = self._limits.reserve(self._config, size, self._rate)
        if seconds > 0:
            self._wait(seconds)
        return seconds
