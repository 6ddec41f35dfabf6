"""Service accounts of the emulator: assertions are really verified, access tokens expire and can be revoked."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.emulators.gcs_store import Store
from tests.emulators.http_server import Request, Response

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE = "https://oauth2.googleapis.com/token"
SCOPES = {
    "https://www.googleapis.com/auth/devstorage.read_write",
    "https://www.googleapis.com/auth/devstorage.full_control",
    "https://www.googleapis.com/auth/cloud-platform",
}
_CLOCK_SKEW = 300


class Refused(Exception):
    """The token endpoint's `error` and `error_description`."""


def service_account(email: str, key: rsa.RSAPrivateKey, key_id: str) -> dict[str, Any]:
    """The JSON that Google gives to the owner of a new key."""
    return {
        "type": "service_account",
        "project_id": "emulated-project",
        "private_key_id": key_id,
        "private_key": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        "client_email": email,
        "client_id": "100000000000000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": AUDIENCE,
    }


def public_pem(key: rsa.RSAPrivateKey) -> str:
    """What an account is registered with."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


class Accounts:
    """Registered keys and the tokens given out for them. `token_lifetime` is in seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.token_lifetime = 3600

    def register(self, email: str, key_id: str, public_key: str) -> None:
        self._store.run("REPLACE INTO accounts VALUES (?, ?, ?)", email, key_id, public_key)

    def revoke(self, email: str) -> None:
        """Delete the account's keys and every token it got."""
        self._store.run("DELETE FROM accounts WHERE email = ?", email)
        self._store.run("DELETE FROM tokens WHERE email = ?", email)

    def expire_tokens(self) -> None:
        self._store.run("UPDATE tokens SET expires = 0")

    def tokens(self) -> list[str]:
        return [row[0] for row in self._store.run("SELECT token FROM tokens")]

    def account_of(self, authorization: str | None) -> str | None:
        """The e-mail that a bearer token stands for; None when it is absent, unknown or expired."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        rows = self._store.run("SELECT email FROM tokens WHERE token = ? AND expires > ?", token, time.time())
        return rows[0][0] if rows else None

    def answer(self, request: Request) -> Response:
        """`POST /token`."""
        form = parse_qs(request.body.read_all().decode())
        if form.get("grant_type") != [GRANT]:
            return _refusal("unsupported_grant_type", "Invalid grant_type")
        try:
            email = self._verified(form.get("assertion", [""])[0], own_audience=f"{request.base}/token")
        except Refused as exc:
            return _refusal(*exc.args)
        token = f"ya29.emulated-{secrets.token_urlsafe(32)}"
        self._store.run("INSERT INTO tokens VALUES (?, ?, ?)", token, email, time.time() + self.token_lifetime)
        return Response.json({"access_token": token, "expires_in": self.token_lifetime, "token_type": "Bearer"})

    def _verified(self, assertion: str, own_audience: str) -> str:
        try:
            head, payload, signature = assertion.split(".")
            header, claims = json.loads(_decoded(head)), json.loads(_decoded(payload))
            signed, given = f"{head}.{payload}".encode(), _decoded(signature)
        except ValueError:
            raise Refused("invalid_grant", "Invalid JWT: malformed.") from None
        keys = dict(self._store.run("SELECT key_id, public_key FROM accounts WHERE email = ?", str(claims.get("iss"))))
        if not keys:
            raise Refused("invalid_grant", "Invalid grant: account not found")
        if header.get("alg") != "RS256" or header.get("kid") not in keys:
            raise Refused("invalid_grant", "Invalid JWT Signature.")
        key = serialization.load_pem_public_key(keys[header["kid"]].encode())
        assert isinstance(key, rsa.RSAPublicKey)
        try:
            key.verify(given, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Refused("invalid_grant", "Invalid JWT Signature.") from None
        _check_claims(claims, own_audience)
        return str(claims["iss"])


def _check_claims(claims: dict[str, Any], own_audience: str) -> None:
    now = time.time()
    issued, expires = float(claims.get("iat", 0)), float(claims.get("exp", 0))
    if not now - 3600 - _CLOCK_SKEW < issued < now + _CLOCK_SKEW or not now < expires <= issued + 3600:
        raise Refused(
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
            "Check your iat and exp values in the JWT claim.",
        )
    if claims.get("aud") not in (AUDIENCE, own_audience):
        raise Refused("invalid_grant", "Invalid JWT: Failed audience check.")
    if not SCOPES & set(str(claims.get("scope", "")).split()):
        raise Refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _refusal(error: str, description: str) -> Response:
    return Response.json({"error": error, "error_description": description}, 400)
