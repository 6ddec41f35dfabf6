"""Waiting for the read models, for commands that ask them before they act."""

from __future__ import annotations

import time
from collections.abc import Callable

from api.bootstrap import Core
from domain.errors import RetryLater
from projections.awaited import TELL

FIRST_POLL_SECONDS, POLL_SECONDS = 0.02, 0.2
PATIENCE_SECONDS = 60.0
"""How long the position may stand still: a running process that keeps the read models moves it all the time."""


def catch_up(core: Core, model: str = "frames", tell: Callable[[int], None] = lambda _: None) -> None:
    """Return once the read model has all that is in the log now; `tell` hears how many events are still to come.

    Brings it up to date itself unless a running process does so anyway. Raises RetryLater when it doesn't move.
    """
    head = core.log.head()
    core.projection_runner().catch_up()
    last, since, poll = -1, time.monotonic(), FIRST_POLL_SECONDS
    while (position := _position(core, model)) < head:
        tell(head - position)
        if position > last:
            last, since = position, time.monotonic()
        elif time.monotonic() - since > PATIENCE_SECONDS:
            raise RetryLater(f"The read model {model} doesn't move on; `starferry projections status` says why.")
        with core.pool.connection() as connection:
            connection.execute(TELL)
        time.sleep(poll)
        poll = min(2 * poll, POLL_SECONDS)


def _position(core: Core, model: str) -> int:
    with core.pool.connection() as connection:
        row = connection.execute(
            "SELECT position FROM starferry.projection WHERE name = %s AND failure = ''", (model,)
        ).fetchone()
    return row[0] if row else -1
