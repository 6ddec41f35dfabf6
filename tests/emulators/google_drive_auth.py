"""Clients, accounts and tokens of the Google Drive emulator: tokens expire, can be revoked, and know their scopes."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from typing import Any
from urllib.parse import parse_qs, urlencode

from tests.emulators.google_drive_store import Store
from tests.emulators.http_server import Request, Response

DRIVE_FILE = "https://www.googleapis.com/auth/drive.file"
READ_ONLY = "https://www.googleapis.com/auth/drive.metadata.readonly"


class Accounts:
    """`token_lifetime` is in seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.token_lifetime = 3599

    def register_client(self, client: str, secret: str, redirect_uri: str = "") -> None:
        self._store.run("REPLACE INTO clients VALUES (?, ?, ?)", client, secret, redirect_uri)

    def register_account(self, email: str, quota: int = 15 << 30) -> None:
        self._store.run("INSERT OR IGNORE INTO accounts (email, quota) VALUES (?, ?)", email, quota)

    def grant(self, client: str, email: str, scopes: str = DRIVE_FILE) -> str:
        """A refresh token, as after a consent."""
        token = f"1//emulated-{secrets.token_urlsafe(32)}"
        self._store.run("INSERT INTO refresh_tokens VALUES (?, ?, ?, ?)", token, client, email, scopes)
        return token

    def revoke(self, email: str) -> None:
        """The owner takes the app's access away: every token dies."""
        for table in ("refresh_tokens", "access_tokens"):
            self._store.run(f"DELETE FROM {table} WHERE account = ?", email)

    def expire_tokens(self) -> None:
        self._store.run("UPDATE access_tokens SET expires = 0")

    def limit_scopes(self, email: str, scopes: str) -> None:
        for table in ("refresh_tokens", "access_tokens"):
            self._store.run(f"UPDATE {table} SET scopes = ? WHERE account = ?", scopes, email)

    def tokens(self) -> list[str]:
        """All secrets there are."""
        rows = self._store.run("SELECT token FROM access_tokens UNION SELECT token FROM refresh_tokens")
        return [row[0] for row in rows]

    def account_of(self, authorization: str | None) -> tuple[str, list[str]] | None:
        """The account and scopes of a bearer token; None when it is absent, unknown or expired."""
        scheme, _, token = (authorization or "").partition(" ")
        rows = self._store.run(
            "SELECT account, scopes FROM access_tokens WHERE token = ? AND expires > ?", token, time.time()
        )
        return (rows[0][0], rows[0][1].split()) if rows and scheme.lower() == "bearer" else None

    def consent(self, request: Request) -> Response:
        """`GET /o/oauth2/v2/auth`: a consent page with a link for yes and one for no. The account of `login_hint`
        consents, where it is known; otherwise the first one. A second consent gives a refresh token only when it was
        asked for with `prompt=consent`."""
        asked = {name: values[0] for name, values in request.query.items()}
        clients = self._store.run("SELECT redirect_uri FROM clients WHERE id = ?", asked.get("client_id", ""))
        if not clients or asked.get("response_type") != "code":
            return Response(400, {"Content-Type": "text/html"}, b"<h1>Error 401: invalid_client</h1>")
        if asked.get("redirect_uri") != clients[0][0]:
            return Response(400, {"Content-Type": "text/html"}, b"<h1>Error 400: redirect_uri_mismatch</h1>")
        emails = [row[0] for row in self._store.run("SELECT email FROM accounts ORDER BY rowid")]
        email = asked["login_hint"] if asked.get("login_hint") in emails else emails[0]
        had = self._store.run(
            "SELECT 1 FROM refresh_tokens WHERE client = ? AND account = ?", asked["client_id"], email
        )
        offline = asked.get("access_type") == "offline" and (not had or asked.get("prompt") == "consent")
        code = f"4/{secrets.token_urlsafe(24)}"
        self._store.run(
            "INSERT INTO codes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            code, asked["client_id"], email, asked.get("scope", ""), asked.get("code_challenge", ""),
            asked["redirect_uri"], int(offline), time.time() + 600,
        )  # fmt: skip
        state = asked.get("state", "")
        yes = f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': state, 'scope': asked.get('scope', '')})}"
        no = f"{asked['redirect_uri']}?{urlencode({'error': 'access_denied', 'state': state})}"
        page = f'<h1>Allow?</h1><a id="allow" href="{yes}">Allow</a> <a id="deny" href="{no}">Cancel</a>'
        return Response(200, {"Content-Type": "text/html"}, page.encode())

    def answer(self, request: Request) -> Response:
        """`POST /token`."""
        form = {name: values[0] for name, values in parse_qs(request.body.read_all().decode()).items()}
        basic = request.headers.get("Authorization", "").removeprefix("Basic ")
        if basic:
            form["client_id"], _, form["client_secret"] = base64.b64decode(basic).decode().partition(":")
        client = form.get("client_id", "")
        rows = self._store.run("SELECT secret FROM clients WHERE id = ?", client)
        if not rows or form.get("client_secret") != rows[0][0]:
            return _refusal(401, "invalid_client", "The provided client secret is invalid.")
        match form.get("grant_type"):
            case "refresh_token":
                token = form.get("refresh_token", "")
                found = self._store.run(
                    "SELECT account, scopes FROM refresh_tokens WHERE token = ? AND client = ?", token, client
                )
                if not found:
                    return _refusal(400, "invalid_grant", "Token has been expired or revoked.")
                return Response.json(self._issue(*found[0]))
            case "authorization_code":
                return self._exchange(form, client)
        return _refusal(400, "unsupported_grant_type", "Invalid grant_type")

    def revocation(self, request: Request) -> Response:
        """`POST /revoke`."""
        form = parse_qs(request.body.read_all().decode())
        token = (form.get("token") or request.query.get("token") or [""])[0]
        rows = self._store.run(
            "SELECT account FROM refresh_tokens WHERE token = ? "
            "UNION SELECT account FROM access_tokens WHERE token = ?",
            token,
            token,
        )
        if not rows:
            return _refusal(400, "invalid_token", "Token expired or revoked")
        self.revoke(rows[0][0])
        return Response.json({})

    def _exchange(self, form: dict[str, str], client: str) -> Response:
        code = form.get("code", "")
        rows = self._store.run(
            "SELECT account, scopes, challenge, redirect_uri, offline, expires FROM codes "
            "WHERE code = ? AND client = ?",
            code,
            client,
        )
        self._store.run("DELETE FROM codes WHERE code = ?", code)
        if not rows or rows[0][5] < time.time():
            return _refusal(400, "invalid_grant", "Malformed auth code.")
        account, scopes, challenge, redirect_uri, offline, _ = rows[0]
        if form.get("redirect_uri") != redirect_uri:
            return _refusal(400, "redirect_uri_mismatch", "Bad Request")
        hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if challenge and base64.urlsafe_b64encode(hashed).decode().rstrip("=") != challenge:
            return _refusal(400, "invalid_grant", "Invalid code verifier.")
        answer = self._issue(account, scopes)
        if offline:
            answer["refresh_token"] = self.grant(client, account, scopes)
        return Response.json(answer)

    def _issue(self, account: str, scopes: str) -> dict[str, Any]:
        token = f"ya29.emulated-{secrets.token_urlsafe(32)}"
        expires = time.time() + self.token_lifetime
        self._store.run("INSERT INTO access_tokens VALUES (?, ?, ?, ?)", token, account, scopes, expires)
        return {"access_token": token, "expires_in": self.token_lifetime, "scope": scopes, "token_type": "Bearer"}


def _refusal(status: int, error: str, description: str) -> Response:
    return Response.json({"error": error, "error_description": description}, status)
