"""Runs policies and effects along the log, each from its own checkpoint, in batches."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from application.policies.policy import Effect, Policy
from application.ports.clock import Clock
from application.ports.dead_letters import DeadLetters
from application.ports.event_log import EventLog
from domain.errors import AlreadyExists, Conflict, RetryLater, StreamConflict
from domain.event import Recorded

logger = structlog.get_logger()

BATCH = 500
TRIES = 8


def checkpoint_of(policy: str) -> str:
    """The name under which the log keeps how far a policy has come."""
    return f"policy:{policy}"


class PolicyRunner:
    """Carries one policy or effect forward. `advance` is called again and again by one thread of one process."""

    def __init__(self, consumer: Policy | Effect, log: EventLog, clock: Clock, dead_letters: DeadLetters) -> None:
        self.consumer = consumer
        self._log = log
        self._clock = clock
        self._dead_letters = dead_letters
        self._name = checkpoint_of(consumer.name)
        self.resume()

    def resume(self) -> None:
        """Stand where the consumer has come to, in whichever process. Raises RetryLater."""
        self.position = self._saved = self._log.checkpoint(self._name)

    def advance(self, batch: Sequence[Recorded], upto: int) -> None:
        """Handle the events of `batch` (those of our topics among them) and stand at `upto`.

        An event that can't be handled is set aside as a dead letter, loudly; the others are handled. Raises RetryLater
        when nothing can be said now; calling again with the same or a longer batch is safe.
        """
        mine = [
            recorded
            for recorded in batch
            if recorded.position > self.position and recorded.event.topic in self.consumer.topics
        ]
        if not mine:
            self.position = max(self.position, upto)
            if upto - self._saved >= 1000:  # nothing happened: a restart may read these again
                self._save(upto)
            return
        try:
            self._handle(mine, upto)
        except RetryLater:
            raise
        except Exception:
            if len(mine) == 1:
                self._set_aside(mine[0], upto)
            else:
                for recorded in mine:
                    self.advance([recorded], recorded.position)
                self._save(upto)
        self.position = max(upto, self._saved)

    def _handle(self, mine: Sequence[Recorded], upto: int) -> None:
        consumer = self.consumer
        if hasattr(consumer, "act"):
            consumer.act(mine)
            self._save(upto)
            return
        taken: frozenset[str] = frozenset()
        for _ in range(TRIES):
            commits = consumer.react(mine, taken, self._clock.now())
            try:
                self._log.append_tracked(commits, self._name, upto)
            except StreamConflict:
                continue
            except AlreadyExists as error:
                taken |= frozenset(error.taken)
                continue
            except Conflict:
                self._catch_up()
                return
            self._saved = upto
            return
        raise RetryLater(f"{consumer.name} met other writers eight times in a row.")

    def _save(self, upto: int) -> None:
        if upto > self._saved:
            try:
                self._log.append_tracked((), self._name, upto)
            except Conflict:
                self._catch_up()
            else:
                self._saved = upto

    def _catch_up(self) -> None:
        """Another process has run this consumer further than we have: what it handled isn't ours any more."""
        self._saved = self._log.checkpoint(self._name)
        logger.warning("another process was ahead", policy=self.consumer.name, position=self._saved)

    def _set_aside(self, recorded: Recorded, upto: int) -> None:
        policy = self.consumer.name
        logger.exception("event set aside", policy=policy, position=recorded.position, stream=recorded.stream)
        self._dead_letters.put(self._name, recorded)
        self._save(upto)
