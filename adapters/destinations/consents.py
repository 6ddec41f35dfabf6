"""The consent pages and token endpoints of the providers that ask their owners (application/ports/consent.py).

The exchange is done here and not by the SDKs' flow classes: those hide the endpoint's answer and hold tokens in their
repr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
import requests

from adapters.destinations.oauth_tokens import TokenBroker, json_object, refusal
from adapters.destinations.opening import Endpoints
from adapters.destinations.sending import as_it_is
from application.ports.consent import Grant
from domain.errors import InvalidInput, NeedsAuthorization, RetryLater
from domain.storage_configs import Provider

TIMEOUT_SECONDS = 30.0


class Service(msgspec.Struct, frozen=True):
    """One provider's OAuth: its addresses, the scopes we need, the fields that hold the app's key and secret, and what
    its page must be asked beside that. `email` finds the account's address, with an access token; `revoke` ends a
    grant, with an access token and the refresh token."""

    name: str
    page: str
    token: str
    scopes: tuple[str, ...]
    client: str
    secret: str
    asks: dict[str, str]
    email: Callable[[str], requests.Response]
    email_of: Callable[[Mapping[str, Any]], Any]
    revoke: Callable[[str, str], requests.Response]


def dropbox_service(base: str) -> Service:
    """Dropbox's, or those of a stand-in at `base`."""
    api = base or "https://api.dropboxapi.com"
    return Service(
        name="Dropbox",
        page=f"{base or 'https://www.dropbox.com'}/oauth2/authorize",
        token=f"{api}/oauth2/token",
        scopes=("account_info.read", "files.content.write", "files.metadata.read"),
        client="app_key",
        secret="app_secret",  # noqa: S106 - the name of a field
        asks={"token_access_type": "offline"},
        email=lambda token: _ask("POST", f"{api}/2/users/get_current_account", token),
        email_of=lambda answer: answer.get("email"),
        revoke=lambda token, _: _ask("POST", f"{api}/2/auth/token/revoke", token),
    )


def drive_service(drive: str, oauth: str) -> Service:
    """Google's, or those of stand-ins. A refresh token is only given again when consent is asked for again."""
    api = drive or "https://www.googleapis.com"
    tokens = oauth or "https://oauth2.googleapis.com"
    return Service(
        name="Google Drive",
        page=f"{oauth or 'https://accounts.google.com'}/o/oauth2/v2/auth",
        token=f"{tokens}/token",
        scopes=("https://www.googleapis.com/auth/drive.file",),
        client="client_id",
        secret="client_secret",  # noqa: S106 - the name of a field
        asks={"access_type": "offline", "prompt": "consent"},
        email=lambda token: _ask("GET", f"{api}/drive/v3/about?fields=user(emailAddress)", token),
        email_of=lambda answer: answer.get("user", {}).get("emailAddress"),
        revoke=lambda _, refresh_token: requests.post(
            f"{tokens}/revoke",
            data={"token": refresh_token},
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
            auth=as_it_is,
        ),
    )


class Consents:
    """Implements Consent."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._services: dict[Provider, Service] = {
            "dropbox": dropbox_service(endpoints.dropbox),
            "google_drive": drive_service(endpoints.google_drive, endpoints.google_oauth),
        }

    def page(
        self, provider: Provider, options: Mapping[str, str], *, redirect_uri: str, state: str, challenge: str
    ) -> str:
        """See Consent."""
        service = self._service(provider)
        asked = {
            "response_type": "code",
            "client_id": options[service.client],
            "redirect_uri": redirect_uri,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "scope": " ".join(service.scopes),
            **service.asks,
        }
        return f"{service.page}?{urlencode(asked)}"

    def exchange(
        self,
        provider: Provider,
        options: Mapping[str, str],
        secrets: Mapping[str, str],
        *,
        code: str,
        verifier: str,
        redirect_uri: str,
    ) -> Grant:
        """See Consent."""
        service = self._service(provider)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": options[service.client],
            "client_secret": secrets.get(service.secret, ""),
        }
        answer = _reached(
            service,
            lambda: requests.post(
                service.token, data=form, timeout=TIMEOUT_SECONDS, allow_redirects=False, auth=as_it_is
            ),
        )
        granted = json_object(answer)
        if answer.status_code != 200 or not granted.get("access_token"):
            if granted.get("error") == "invalid_grant":
                raise NeedsAuthorization(
                    f"{service.name} didn't accept its own code: it was used already, is too old, or the redirect URI "
                    "differs from the one registered with the app. Check that and start again."
                )
            raise refusal(service.name, answer, granted)
        missing = set(service.scopes) - set(str(granted.get("scope", "")).split())
        if missing:
            raise NeedsAuthorization(
                f"The authorization lacks {', '.join(sorted(missing))}: allow the app these permissions at "
                f"{service.name} and start again."
            )
        if not granted.get("refresh_token"):
            raise NeedsAuthorization(f"{service.name} gave no lasting authorization; disconnect the app and try again.")
        return Grant(str(granted["refresh_token"]), self._account(service, str(granted["access_token"])))

    def revoke(self, provider: Provider, options: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        """See Consent."""
        service = self._service(provider)
        broker = TokenBroker(
            service.name,
            service.token,
            client_id=options[service.client],
            client_secret=secrets.get(service.secret, ""),
            refresh_token=secrets.get("refresh_token", ""),
        )
        token = broker.access_token()
        answer = _reached(service, lambda: service.revoke(token, secrets.get("refresh_token", "")))
        if answer.status_code != 200:
            raise RetryLater(f"{service.name} didn't revoke the authorization (status {answer.status_code}).")

    def _service(self, provider: Provider) -> Service:
        service = self._services.get(provider)
        if service is None:
            raise InvalidInput("This provider needs no authorization: its credentials are enough.", field="provider")
        return service

    def _account(self, service: Service, token: str) -> str:
        answer = _reached(service, lambda: service.email(token))
        email = service.email_of(json_object(answer))
        if answer.status_code != 200 or not isinstance(email, str):
            raise RetryLater(f"{service.name} didn't say whose account this is; start again in a moment.")
        return email


def _ask(method: str, url: str, token: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.request(method, url, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False, auth=as_it_is)


def _reached(service: Service, ask: Callable[[], requests.Response]) -> requests.Response:
    try:
        return ask()
    except requests.RequestException:
        raise RetryLater(f"{service.name} could not be reached; start again in a moment.") from None
