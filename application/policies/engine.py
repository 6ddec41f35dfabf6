"""Drives all policies and effects of a process along the log. One that must wait doesn't hold up the others."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence

import structlog

from application.policies.runner import BATCH, PolicyRunner
from application.ports.event_log import EventLog
from domain.errors import StarferryError

logger = structlog.get_logger()

RETRY_SECONDS = 2.0
GATHER_SECONDS = 0.04
"""Two batches in twice this time, at most: of a steady stream many events share a batch, for the price of one. What
comes after a silence is handled at once, and so is what follows from it."""


class PolicyEngine:
    """Call `wake` when the log may have grown; `run` until `stop`. `elapsed` tells the seconds of a steady clock."""

    def __init__(
        self,
        runners: Sequence[PolicyRunner],
        log: EventLog,
        *,
        batch: int = BATCH,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runners = runners
        self._log = log
        self._batch = batch
        self._elapsed = elapsed
        self._woken = threading.Event()
        self._stopping = False
        self._not_before: dict[str, float] = {}
        self._waiting: dict[str, str] = {}
        self._topics = {topic for runner in runners for topic in runner.consumer.topics}

    def wake(self) -> None:
        """There may be something new."""
        self._woken.set()

    def stop(self) -> None:
        """End after the batch at hand."""
        self._stopping = True
        self._woken.set()

    def positions(self) -> dict[str, int]:
        """How far each has come."""
        return {runner.consumer.name: runner.position for runner in self._runners}

    def run(self, held: Callable[[], None] = lambda: None) -> None:
        """Work until stopped, from where whoever did so before has come to.

        `held` raises when this is no longer the one process to do it, which ends the run with that error. Raises
        RetryLater when the log can't be reached at the start.
        """
        for runner in self._runners:
            runner.resume()
        begun = -math.inf
        while not self._stopping:
            held()
            self._woken.clear()
            before, begun = begun, time.monotonic()
            try:
                progressed = self.step()
            except Exception:  # a bug in one batch must not end delivery for good
                logger.exception("policies stopped; going on")
                time.sleep(RETRY_SECONDS)
                continue
            if not progressed:
                self._woken.wait(RETRY_SECONDS)
            else:
                time.sleep(max(0.0, before + 2 * GATHER_SECONDS - time.monotonic()))

    def step(self) -> bool:
        """One batch for each runner that may go on; false when there was nothing to do."""
        progressed = False
        now = self._elapsed()
        ready = [runner for runner in self._runners if self._not_before.get(runner.consumer.name, 0.0) <= now]
        for position in sorted({runner.position for runner in ready}):
            try:
                batch = self._log.read(position, self._batch, topics=self._topics)
            except StarferryError as error:
                logger.warning("the log can't be read", reason=str(error))
                return False
            if batch.upto == position:
                continue
            for runner in ready:
                if runner.position == position:
                    progressed |= self._advance(runner, batch.events, batch.upto)
        return progressed

    def _advance(self, runner: PolicyRunner, events: Sequence, upto: int) -> bool:  # type: ignore[type-arg]
        name, wait = runner.consumer.name, RETRY_SECONDS
        try:
            runner.advance(events, upto)
        except StarferryError as error:
            if self._waiting.get(name) != str(error):  # once an outage, not once a try
                logger.warning("policy waits", policy=name, reason=str(error))
            self._waiting[name] = str(error)
            wait = max(wait, getattr(error, "retry_after", None) or 0.0)
        except Exception:  # a bug in one must not end the others
            logger.exception("policy failed and will be tried again", policy=name)
        else:
            if self._waiting.pop(name, None) is not None:
                logger.info("policy goes on", policy=name)
            return True
        self._not_before[name] = self._elapsed() + wait
        return False
