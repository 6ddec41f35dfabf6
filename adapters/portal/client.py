"""The portal's accounts: implements application.ports.portal.Portal (contracts: 1.3)."""

from __future__ import annotations

from typing import Any

from adapters.portal.exchange import PortalHttp
from application.ports.portal import PortalUser
from domain.errors import NotFound, RetryLater, Unauthenticated


class HttpPortal:
    """Implements Portal. `secret` is only ever sent to the token endpoint."""

    def __init__(self, http: PortalHttp, *, profile_url: str, token_url: str, client_id: str, secret: str) -> None:
        self._http = http
        self._profile_url = profile_url
        self._token_url = token_url
        self._client_id = client_id
        self._secret = secret

    def profile(self, scheme: str, token: str) -> PortalUser:
        """See Portal.profile."""
        if not (token.isascii() and token.isprintable()):
            raise Unauthenticated("The observation portal refuses these credentials.")
        try:
            return _user(self._http.get(self._profile_url, scheme, token))
        except NotFound as error:
            raise RetryLater("The observation portal has no profiles where OAUTH_PROFILE_URL says.") from error

    def log_in(self, username: str, password: str) -> tuple[str, PortalUser]:
        """See Portal.log_in."""
        if not self._token_url:
            raise Unauthenticated("The observation portal takes no passwords here.")
        form = {
            "grant_type": "password",
            "username": username,
            "password": password,
            "client_id": self._client_id,
            "client_secret": self._secret,
        }
        try:
            granted = self._http.post(self._token_url, form)
        except NotFound as error:
            raise RetryLater("The observation portal gives no tokens where OAUTH_TOKEN_URL says.") from error
        access_token = _text(granted, "access_token")
        if not access_token:
            raise RetryLater("The observation portal's answer has no access token.")
        return access_token, self.profile("Bearer", access_token)


def _user(document: Any) -> PortalUser:
    """A profile as the portal writes it. Absent fields are empty."""
    username = _text(document, "username")
    if not username:
        raise RetryLater("The observation portal's answer names no user.")
    return PortalUser(
        username=username,
        first_name=_text(document, "first_name"),
        last_name=_text(document, "last_name"),
        email=_text(document, "email"),
        api_token=_text(_part(document, "tokens"), "api_token"),
        is_staff=_part(document, "is_staff") is True,
        is_superuser=_part(document, "is_superuser") is True,
        staff_view=_part(_part(document, "profile"), "staff_view") is True,
        proposals=_proposals(_part(document, "proposals")),
    )


def _proposals(listed: Any) -> tuple[str, ...]:
    found = [_text(one, "id") for one in listed] if isinstance(listed, list) else []
    return tuple(name for name in found if name)


def _part(document: Any, name: str) -> Any:
    return document.get(name) if isinstance(document, dict) else None


def _text(document: Any, name: str) -> str:
    value = _part(document, name)
    return value if isinstance(value, str) and "\0" not in value else ""
