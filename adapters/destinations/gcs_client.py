"""A Google Cloud Storage client that talks to nobody but the storage service and Google's token service.

Left to itself the SDK starts threads that look up the account's regional boundary (sending the bearer token) and the
bucket's metadata. Both are off here; a test counts the requests.
"""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from google.auth import crypt
from google.auth.transport.requests import AuthorizedSession, Request
from google.cloud import storage
from google.oauth2 import _client, service_account

from adapters.destinations.sending import as_it_is
from domain.errors import Misconfigured, NeedsAuthorization

SERVICE = "https://storage.googleapis.com"
TOKEN_SERVICE = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"

os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "1")

# At DEBUG urllib3 logs request addresses, and so the id of an upload, which lets anybody write to it.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class _Credentials(service_account.Credentials):  # type: ignore[misc]
    """Service-account credentials without the boundary look-up, and with one try a refresh instead of three."""

    def _is_regional_access_boundary_lookup_required(self) -> bool:
        return False

    def refresh(self, request: Any) -> None:
        assertion = self._make_authorization_grant_assertion()
        self.token, self.expiry, _ = _client.jwt_grant(request, self._token_uri, assertion, can_retry=False)


class Connection:
    """An SDK client and the session with the service account's credentials that it uses.

    `info` is the service-account JSON. Only its key and e-mail are used: the addresses in it are whatever its author
    wrote, and a signed assertion must go nowhere but to Google. Raises NeedsAuthorization when the key can't be read.
    """

    def __init__(self, info: Mapping[str, Any], base: str | None) -> None:
        self.base = base or SERVICE
        self._plain = requests.Session()
        self._request = Request(self._plain)
        credentials = _credentials(info, TOKEN_SERVICE if base is None else f"{base}/token")
        self.session = AuthorizedSession(credentials, auth_request=self._request)
        for session in (self._plain, self.session):
            session.max_redirects = 0
            session.auth = as_it_is
            session.trust_env = base is None
        self.client = storage.Client(
            project=str(info.get("project_id") or "none"),
            credentials=credentials,
            _http=self.session,
            client_options={"api_endpoint": self.base},
        )

    def fetch_token(self, timeout: float) -> None:
        """Raises google.auth's exceptions when the token service refuses the key."""

        def request(**details: Any) -> Any:
            return self._request(**{"timeout": timeout, **details})

        self.session.credentials.refresh(request)

    def close(self) -> None:
        """Close all connections."""
        self.client.close()
        self._plain.close()


def loopback_only(endpoint: str | None) -> str | None:
    """`endpoint` without a final slash. Raises Misconfigured unless it is an address of this machine."""
    if endpoint is None:
        return None
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local or parts.scheme not in ("http", "https") or parts.query or parts.username:
        raise Misconfigured("STARFERRY_GCS_URL has to be a loopback address such as http://127.0.0.1:9000.")
    return endpoint.rstrip("/")


def _credentials(info: Mapping[str, Any], token_uri: str) -> _Credentials:
    if info.get("type") != "service_account":
        raise NeedsAuthorization("The key is not a service-account key; download one of type JSON from Google Cloud.")
    try:
        email = str(info["client_email"])
        signer = crypt.RSASigner.from_service_account_info(info)
    except Exception:
        raise NeedsAuthorization("The service-account key can't be read; put in the JSON file unchanged.") from None
    return _Credentials(signer, service_account_email=email, token_uri=token_uri, scopes=[SCOPE])
