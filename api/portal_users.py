"""Users that the observation portal vouches for: bearer tokens, passwords and proposals (contracts: 1.3)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import msgspec

from api.correlation import correlation
from api.portal_calls import OneAtATime, PortalCalls
from api.portal_proposals import PortalProposals
from api.read_gate import ReadGate
from api.threads import in_thread
from application.commands.portal import sync_user
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.portal import PortalUser
from application.ports.vault import Vault
from domain.errors import InvalidInput, RetryLater, Unauthenticated
from domain.event import Cause

FRESH_SECONDS = 30.0
"""How long the portal's word on a bearer token holds without asking again."""
OUTAGE_SECONDS = 600.0
"""How long it holds while the portal can't be asked."""
REFUSED_SECONDS = 5.0
"""How long a refusal holds: a client that keeps trying doesn't become the portal's problem."""
REMEMBERED = 5_000


class _Bearer(msgspec.Struct, frozen=True):
    """Whose token it is (empty: refused), and until when that is sure, or good enough while the portal is away."""

    username: str
    fresh_until: float
    usable_until: float


class PortalUsers:
    """Asks the portal and keeps accounts in step with it. Belongs to one event loop."""

    def __init__(
        self, calls: PortalCalls, lists: PortalProposals, log: EventLog, vault: Vault, clock: Clock, gate: ReadGate
    ) -> None:
        self._calls = calls
        self._lists = lists
        self._log = log
        self._vault = vault
        self._clock = clock
        self._gate = gate
        self._bearers: dict[str, _Bearer] = {}
        self._asking: OneAtATime[str] = OneAtATime()

    async def proposals(self, username: str, known: Sequence[str], due_in: float | None) -> Sequence[str]:
        """The portal's list of a user's proposals; see PortalProposals.current."""
        return await self._lists.current(username, known, due_in) if self._calls.configured else known

    async def of_bearer(self, token: str) -> str:
        """The name of the user whose bearer token this is; the account is there afterwards.

        Raises Unauthenticated for nobody's, RetryLater when the portal can't be asked and wasn't lately.
        """
        if not self._calls.configured or not token:
            raise Unauthenticated("No Such User")
        key = hashlib.sha256(token.encode()).hexdigest()
        known = self._bearers.get(key)
        if known is None or known.fresh_until < time.monotonic():
            try:
                return await self._asking.run(key, lambda: self._ask(key, token))
            except RetryLater:
                if known is None or not known.username or known.usable_until < time.monotonic():
                    raise
        if not known.username:
            raise Unauthenticated("No Such User")
        return known.username

    async def by_password(self, username: str, password: str) -> str | None:
        """The name of the portal's user with this password, the account updated with all flags; None when the portal
        refuses, or there is none. Raises RetryLater when it can't be asked."""
        if not self._calls.configured:
            return None
        try:
            access_token, user = await self._calls.log_in(username, password)
            await self._sync(user, with_flags=True, access_token=access_token)
        except (Unauthenticated, InvalidInput):
            return None
        return user.username

    async def _ask(self, key: str, token: str) -> str:
        now = time.monotonic()
        try:
            user = await self._calls.profile("Bearer", token)
            await self._sync(user, with_flags=False, access_token=token)
        except (Unauthenticated, InvalidInput):
            self._remember(key, _Bearer("", now + REFUSED_SECONDS, 0.0))
            raise Unauthenticated("No Such User") from None
        self._remember(key, _Bearer(user.username, now + FRESH_SECONDS, now + OUTAGE_SECONDS))
        return user.username

    async def _sync(self, user: PortalUser, *, with_flags: bool, access_token: str) -> None:
        reason = "the observation portal's profile"
        why = Cause(actor=user.username, via="ocs", correlation=correlation(), reason=reason)
        position = await in_thread(
            sync_user,
            self._log,
            self._vault,
            self._clock,
            why,
            user,
            with_flags=with_flags,
            access_token=access_token,
        )
        self._gate.wrote(user.username, position)
        await self._gate.settle("", str(position))
        await self._lists.learn(user.username, user.proposals)

    def _remember(self, key: str, bearer: _Bearer) -> None:
        if len(self._bearers) > REMEMBERED:
            self._bearers.clear()
        self._bearers[key] = bearer
