"""The observation portal: who a bearer token belongs to, whether a password is right, whose proposals are which."""

from __future__ import annotations

from typing import Protocol

import msgspec


class PortalUser(msgspec.Struct, frozen=True, kw_only=True):
    """What the portal says of a user. `api_token` is the one that it gave them, empty when it gave none."""

    username: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    api_token: str = ""
    is_staff: bool = False
    is_superuser: bool = False
    staff_view: bool = False
    proposals: tuple[str, ...] = ()


class Portal(Protocol):
    """Asks the portal. Every method may take seconds, and raises RetryLater when the portal can't be reached, is slow
    or answers with nonsense. Safe to share between threads."""

    def profile(self, scheme: str, token: str) -> PortalUser:
        """Whose token this is; `scheme` is `Bearer` or `Token`. Raises Unauthenticated when the portal refuses it."""
        ...

    def log_in(self, username: str, password: str) -> tuple[str, PortalUser]:
        """An access token for a password, and whose it is. Raises Unauthenticated when the portal refuses it."""
        ...
