"""Asks a provider's account owner for authorization: OAuth 2.0 with a code and PKCE (RFC 6749, RFC 7636)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from domain.storage_configs import Provider


class Grant(msgspec.Struct, frozen=True):
    """What an owner has given: a refresh token, in the name of `account` (an e-mail address)."""

    refresh_token: str
    account: str


class Consent(Protocol):
    """One adapter for all providers that ask their owners."""

    def page(
        self, provider: Provider, options: Mapping[str, str], *, redirect_uri: str, state: str, challenge: str
    ) -> str:
        """The address of the provider's consent page. Raises InvalidInput for a provider that asks nobody."""
        ...

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
        """Turn the code that came back into a grant. Raises NeedsAuthorization, in a sentence that says what to check,
        or RetryLater."""
        ...

    def revoke(self, provider: Provider, options: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        """Tell the provider that its grant is over. Raises as `exchange`."""
        ...
