"""Access tokens from a refresh token (RFC 6749, section 6): one broker an authorized account, shared by its transfers.

The SDKs refresh without a lock and hide what the token endpoint said; this asks once, whoever waits, and tells a dead
grant from a passing fault by the endpoint's own words.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import requests

from adapters.destinations.retry_after import seconds_to_wait
from adapters.destinations.sending import as_it_is
from domain.errors import NeedsAuthorization, RetryLater, StarferryError

EARLY_SECONDS = 120.0
"""A token that ends sooner isn't given out any more: a chunk may take a while to send."""
LEAST_SECONDS = 60.0
UNTOLD_SECONDS = 600.0
"""How long a token is taken for good whose lifetime wasn't told; one that is refused is replaced anyway."""


class TokenBroker:
    """Gives out access tokens for one refresh token. Safe to share between threads.

    `provider` is its name in messages. `timeout` is in seconds.
    """

    def __init__(
        self,
        provider: str,
        url: str,
        *,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        timeout: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._url = url
        self._form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": client_id,
            "client_secret": client_secret,
        }
        self._timeout = timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0
        self._asked = 0
        self._failure: StarferryError | None = None

    def __repr__(self) -> str:
        return f"TokenBroker({self._provider!r})"

    def access_token(self, *, refused: str = "") -> str:
        """A token that is good for a while yet. `refused` is one that the provider wouldn't take: if that is ours, a
        new one is fetched; who waited for that while another asked gets that one's answer, good or bad. Raises
        NeedsAuthorization when the grant is dead, RetryLater."""
        asked = self._asked
        with self._lock:
            if not self._token or self._token == refused or self._clock() >= self._good_until:
                if self._failure is not None and self._asked != asked:
                    raise copy.copy(self._failure)
                self._ask()
            return self._token

    def _ask(self) -> None:
        self._token, self._failure = "", None
        self._asked += 1
        try:
            self._fetch()
        except StarferryError as error:
            self._failure = error
            raise

    def _fetch(self) -> None:
        if not self._form["refresh_token"]:
            raise NeedsAuthorization(f"{self._provider} hasn't been authorized yet.")
        try:
            answer = requests.post(
                self._url, data=self._form, timeout=self._timeout, allow_redirects=False, auth=as_it_is
            )
        except requests.RequestException:
            raise RetryLater(f"{self._provider}'s token service could not be reached.") from None
        body = json_object(answer)
        token = body.get("access_token")
        if answer.status_code != 200 or not isinstance(token, str) or not token:
            raise refusal(self._provider, answer, body)
        lifetime = body.get("expires_in")
        seconds = float(lifetime) if isinstance(lifetime, int | float) else UNTOLD_SECONDS
        self._token = token
        self._good_until = self._clock() + max(seconds - EARLY_SECONDS, min(seconds, LEAST_SECONDS))


def refusal(provider: str, answer: requests.Response, body: Mapping[str, Any]) -> StarferryError:
    """What a token endpoint's refusal means. Only its own error words count: a proxy's page says nothing of the
    grant."""
    word = str(body.get("error", "")).partition(":")[0]  # Dropbox has been seen to put a sentence behind it
    if word == "invalid_request" and "auth function" in str(body.get("error_description", "")):
        word = "invalid_client"  # so Dropbox answers to a key or secret that is empty
    match word:
        case "invalid_grant":
            return NeedsAuthorization(f"{provider} no longer accepts the authorization; authorize again.")
        case "invalid_client" | "unauthorized_client" | "deleted_client" | "disabled_client":
            return NeedsAuthorization(f"{provider} doesn't know this app's key or secret; check both.")
        case "access_denied" | "invalid_scope":
            return NeedsAuthorization(f"{provider} refused what Starferry asks for; authorize again and allow it.")
        case _:
            wait = seconds_to_wait(answer.headers.get("Retry-After"), datetime.now(UTC))
            return RetryLater(f"{provider}'s token service could not be used just now.", retry_after=wait)


def json_object(answer: requests.Response) -> Mapping[str, Any]:
    """The JSON object in an answer; empty when there is none."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
