"""PublishArchived: the broker is told of every file that was archived, in order, and of none less than once.

The checkpoint is the outbox: it moves when the broker has confirmed. What was confirmed before contact was lost isn't
sent again while this process lives; after a kill the block at hand is, as a whole (BLOCK messages at most).
"""

from __future__ import annotations

from collections.abc import Sequence

from application.archived_message import AreaForm, archived_message
from application.ports.broker import Broker, Message
from domain.event import Recorded
from domain.frames import FileProcessed

BLOCK = 100
"""Events between two checkpoints: most that are sent twice after a kill. One confirmation is waited for a block."""

IMPORTED = "import"
"""How frames of another archive come in: their pipelines have heard of them already."""


class PublishArchived:
    """See the module."""

    name = "PublishArchived"
    topics = frozenset({FileProcessed.topic})

    def __init__(self, broker: Broker, area: AreaForm) -> None:
        self._broker = broker
        self._area = area
        self._confirmed = 0

    def act(self, batch: Sequence[Recorded]) -> None:
        """See Effect.act."""
        waiting = [recorded for recorded in batch if recorded.position > self._confirmed and _concerns(recorded)]
        messages = [self._message(recorded) for recorded in waiting]
        done = 0
        while done < len(waiting):
            done += self._broker.publish(messages[done:])
            self._confirmed = waiting[done - 1].position

    def _message(self, recorded: Recorded) -> Message:
        assert isinstance(recorded.event, FileProcessed)
        return Message(id=str(recorded.position), body=archived_message(recorded.event, self._area))


def _concerns(recorded: Recorded) -> bool:
    return isinstance(recorded.event, FileProcessed) and recorded.cause.via != IMPORTED
