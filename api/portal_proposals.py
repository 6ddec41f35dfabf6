"""Keeps the portal's lists of proposals: asked for once an hour and user, ahead of time where possible, and kept
through outages (contracts: 1.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from adapters.portal.questions import PortalQuestions
from api.correlation import correlation
from api.portal_calls import OneAtATime, PortalCalls
from api.read_gate import ReadGate
from api.threads import in_thread
from application.commands.portal import learn_proposals, portal_credential
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.vault import Vault
from domain.errors import RetryLater, Unauthenticated
from domain.event import Cause

logger = structlog.get_logger()

GOOD_SECONDS = 3600.0
AHEAD_SECONDS = 900.0
"""A list that is this near to its end is asked for in the background: a user who is busy never waits for the portal."""
RETRY_SECONDS = 60.0
WAIT_SECONDS = 5.0
POLL_SECONDS = 0.05


class PortalProposals:
    """One call to the portal per user at a time, over all processes. Belongs to one event loop."""

    def __init__(
        self, calls: PortalCalls, questions: PortalQuestions, log: EventLog, vault: Vault, clock: Clock, gate: ReadGate
    ) -> None:
        self._calls = calls
        self._questions = questions
        self._log = log
        self._vault = vault
        self._clock = clock
        self._gate = gate
        self._asking: OneAtATime[Sequence[str] | None] = OneAtATime()

    async def current(self, username: str, known: Sequence[str], due_in: float | None) -> Sequence[str]:
        """The portal's list: the known one while it is good, else a new one; the known one too while the portal is
        away. `due_in` is in seconds, None when the portal was never asked."""
        if due_in is not None and due_in > AHEAD_SECONDS:
            return known
        if due_in is not None and due_in > 0:
            self._asking.start(username, lambda: self._fresh(username))
            return known
        fresh = await self._asking.run(username, lambda: self._fresh(username))
        return known if fresh is None else fresh

    async def learn(self, username: str, proposals: Sequence[str], *, again_in: float = GOOD_SECONDS) -> None:
        """Record a list that the portal has just given; it can be read afterwards."""
        why = Cause(actor=username, via="ocs", correlation=correlation(), reason="the observation portal's list")
        position = await in_thread(learn_proposals, self._log, self._clock, why, username, proposals)
        await self._gate.settle("", str(position))
        await self._questions.answered(username, again_in=again_in)

    async def _fresh(self, username: str) -> Sequence[str] | None:
        """A new list, None when there is none to be had."""
        try:
            if not await self._questions.take(username, within=AHEAD_SECONDS):
                return await self._from_another_process(username)
            return await self._from_portal(username)
        except RetryLater as error:
            logger.warning("a user's proposals stay as they were", username=username, reason=str(error))
            await self._questions.answered(username, again_in=RETRY_SECONDS)
            return None

    async def _from_portal(self, username: str) -> Sequence[str]:
        credential = await in_thread(portal_credential, self._vault, username)
        if credential is None:
            await self.learn(username, ())
            return ()
        try:
            user = await self._calls.profile(*credential)
            refused = user.username != username
        except Unauthenticated:
            refused = True
        if refused:
            logger.warning("the portal no longer knows a user's token; it lists no proposals", username=username)
            await self.learn(username, (), again_in=RETRY_SECONDS)
            return ()
        await self.learn(username, user.proposals)
        return user.proposals

    async def _from_another_process(self, username: str) -> Sequence[str]:
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while await self._questions.being_asked(username) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(POLL_SECONDS)
        return await self._questions.learned(username)
