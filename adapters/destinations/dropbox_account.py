"""An authorized Dropbox account: its tokens and its connections, shared by all transfers to one configuration.

The SDK's own retries and refreshes are off: it would sleep in the worker for ever on a rate limit, and refresh once a
thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import dropbox
import requests
from dropbox.exceptions import AuthError

from adapters.destinations.oauth_tokens import TokenBroker
from adapters.destinations.sending import PieceByPiece, as_it_is

T = TypeVar("T")

TOKEN_URL = "https://api.dropboxapi.com/oauth2/token"  # noqa: S105 - an address
MOST_CONNECTIONS = 8

logging.getLogger("dropbox").setLevel(logging.WARNING)  # at INFO it logs every request


class DropboxAccount:
    """Calls Dropbox in the account's name. Safe to share between threads.

    `base` replaces Dropbox's addresses, for tests. `timeout` is in seconds, for each step that the network takes.
    """

    def __init__(
        self, app_key: str, app_secret: str, refresh_token: str, base: str | None = None, *, timeout: float = 60.0
    ) -> None:
        self._timeout = timeout
        self._broker = TokenBroker(
            "Dropbox",
            TOKEN_URL if base is None else f"{base}/oauth2/token",
            client_id=app_key,
            client_secret=app_secret,
            refresh_token=refresh_token,
            timeout=timeout,
        )
        self._session = dropbox.create_session(max_connections=MOST_CONNECTIONS)
        self._session.max_redirects = 0
        self._session.auth = as_it_is
        self._session.trust_env = base is None
        self._session.mount("https://", PieceByPiece(pool_maxsize=MOST_CONNECTIONS) if base is None else _Rebased(base))

    def call(self, ask: Callable[[Any], T]) -> T:
        """What `ask` gets from an SDK client; once more with a fresh token when the first one had expired.

        Raises the SDK's and the connection's exceptions; classify them.
        """
        token = self._broker.access_token()
        try:
            return ask(self._client(token))
        except AuthError as error:
            if error.error is None or not error.error.is_expired_access_token():
                raise
        return ask(self._client(self._broker.access_token(refused=token)))

    def fetch_token(self) -> None:
        """Make sure that there is a token. Raises NeedsAuthorization, RetryLater."""
        self._broker.access_token()

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def _client(self, token: str) -> Any:
        return dropbox.Dropbox(
            oauth2_access_token=token,
            session=self._session,
            timeout=self._timeout,
            max_retries_on_error=0,
            max_retries_on_rate_limit=0,
        )


class _Rebased(PieceByPiece):
    """Sends what is meant for Dropbox's hosts to another address. The SDK has their names built in."""

    def __init__(self, base: str) -> None:
        self._base = urlsplit(base)
        super().__init__(pool_maxsize=MOST_CONNECTIONS)

    def send(self, request: requests.PreparedRequest, *args: Any, **named: Any) -> requests.Response:
        """See requests."""
        parts = urlsplit(str(request.url))
        request.url = urlunsplit((self._base.scheme, self._base.netloc, parts.path, parts.query, ""))
        return super().send(request, *args, **named)
