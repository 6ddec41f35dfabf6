"""Passwords: the local one first, then the observation portal's (contracts: 1.3)."""

from __future__ import annotations

import anyio
import structlog

from api.password_pace import PasswordPace
from api.portal_users import PortalUsers
from api.threads import in_thread
from application.ports.passwords import Passwords
from domain.errors import InvalidInput

logger = structlog.get_logger()

AT_ONCE = 2
"""Passwords that are checked at a time: each check takes 64 MiB and a core for some 50 ms, on purpose."""


class PasswordLogin:
    """Tells whether a password is right. Belongs to one event loop."""

    def __init__(self, passwords: Passwords, portal: PortalUsers, pace: PasswordPace) -> None:
        self._passwords = passwords
        self._portal = portal
        self._pace = pace
        self._turns = anyio.CapacityLimiter(AT_ONCE)

    async def user_of(self, username: str, password: str, address: str) -> str | None:
        """The name of the user who has this password; None when it is wrong.

        A password that the portal accepts becomes the local one, so that the user can come in during an outage.
        Raises Throttled after too many wrong ones, RetryLater when only the portal could tell and can't be asked.
        """
        self._pace.check(username, address)
        self._pace.wrong(username, address)  # until it proves right: tries that run at the same time count as well
        async with self._turns:
            right = await in_thread(self._passwords.check, username, password)
        name = username if right else await self._portal.by_password(username, password)
        if name is None:
            return None
        self._pace.right(username, address)
        if not right:
            await self._keep(name, password)
        return name

    async def _keep(self, username: str, password: str) -> None:
        try:
            async with self._turns:
                await in_thread(self._passwords.set, username, password)
        except InvalidInput:
            logger.info("a portal password is too short or too long to be kept here", username=username)
