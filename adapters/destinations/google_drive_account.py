"""An authorized Google Drive account: tokens, connections and the SDK's client, shared by all transfers to one
configuration.

The SDK's own transport, httplib2, isn't thread-safe and repeats a POST by itself when the other side hangs up, which
makes two files of one. Its requests go over `requests` here, once each; tokens come from our broker.
"""

from __future__ import annotations

import hashlib
import json
import threading
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httplib2
import requests
from googleapiclient import discovery
from googleapiclient.discovery_cache import get_static_doc

from adapters.destinations.oauth_tokens import TokenBroker
from adapters.destinations.sending import as_it_is
from domain.errors import RetryLater

SERVICE = "https://www.googleapis.com"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
MOST_CONNECTIONS = 8
IDS = 100
"""File ids fetched at a time: one request serves a hundred files."""


class DriveAccount:
    """Calls Google Drive in the account's name. Safe to share between threads.

    `base` replaces Drive's addresses and `oauth_base` those of Google's token service, for tests. `timeout` is in
    seconds, for each step that the network takes.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        base: str | None = None,
        oauth_base: str | None = None,
        *,
        timeout: float = 60.0,
    ) -> None:
        self.base = base or SERVICE
        self.mark = hashlib.sha256(f"{client_id}\0{refresh_token}".encode()).hexdigest()[:16]
        """Tells this authorization from another one, which may be of another account, or another app's."""
        self._timeout = timeout
        self._broker = TokenBroker(
            "Google Drive",
            TOKEN_URL if oauth_base is None else f"{oauth_base}/token",
            client_id=client_id,
            client_secret=client_secret,
            refresh_token=refresh_token,
            timeout=timeout,
        )
        self._session = requests.Session()
        self._session.trust_env = base is None
        self._session.auth = as_it_is
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=MOST_CONNECTIONS)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self.drive: Any = discovery.build_from_document(_document(self.base), http=_Transport(self))
        self.files: Any = self.drive.files()
        """Made once: making it takes the SDK two milliseconds, more than some requests."""
        self._ids: list[str] = []
        self._lock = threading.Lock()

    def fetch_token(self) -> None:
        """Make sure that there is a token. Raises NeedsAuthorization, RetryLater."""
        self._broker.access_token()

    def request(self, method: str, url: str, **what: Any) -> requests.Response:
        """One authorized request; once more with a fresh token when the first was refused. Raises what `requests`
        raises, NeedsAuthorization and RetryLater. Bodies can be sent again."""
        if not self._is_drives(url):
            raise RetryLater("Google Drive gave an address that is not its own.")
        headers = what.pop("headers", None) or {}
        token = self._broker.access_token()
        for _ in range(2):
            response = self._session.request(
                method,
                url,
                headers={**headers, "Authorization": f"Bearer {token}"},
                timeout=self._timeout,
                allow_redirects=False,
                **what,
            )
            if response.status_code != 401:
                break
            token = self._broker.access_token(refused=token)
        return response

    def new_id(self) -> str:
        """An id for a file or folder that is still to be made: making it twice is then told apart by Drive."""
        with self._lock:
            if not self._ids:
                answer = self.files.generateIds(count=IDS, space="drive", type="files").execute()
                self._ids = list(answer["ids"])
            return self._ids.pop()

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def _is_drives(self, url: str) -> bool:
        given, own = urlsplit(url), urlsplit(self.base)
        if (given.scheme, given.netloc) == (own.scheme, own.netloc):
            return True
        return self.base == SERVICE and given.scheme == "https" and given.netloc.endswith(".googleapis.com")


class _Transport:
    """What the SDK takes for httplib2."""

    def __init__(self, account: DriveAccount) -> None:
        self._account = account

    def request(
        self, uri: str, method: str = "GET", body: Any = None, headers: Any = None, **_: Any
    ) -> tuple[httplib2.Response, bytes]:
        """See httplib2.Http.request."""
        answer = self._account.request(method, uri, data=body, headers=dict(headers or {}))
        response = httplib2.Response({name.lower(): value for name, value in answer.headers.items()})
        response.status, response.reason = answer.status_code, answer.reason
        return response, answer.content

    def close(self) -> None:
        """The account closes its connections."""


@cache
def _document(base: str) -> str:
    """The SDK's own description of Drive, with another address: its `api_endpoint` option doesn't reach uploads."""
    document = json.loads(get_static_doc("drive", "v3"))
    document["rootUrl"] = f"{base}/"
    return json.dumps(document)
