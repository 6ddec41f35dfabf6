"""Apps, accounts and tokens of the Dropbox emulator: tokens expire, can be revoked, and know their scopes."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from typing import Any
from urllib.parse import parse_qs, urlencode

from dropbox import auth

from tests.emulators.dropbox_store import Store
from tests.emulators.http_server import Request, Response

SCOPES = ("account_info.read", "files.content.read", "files.content.write", "files.metadata.read")


class TokenRefused(Exception):
    """Why a bearer token isn't good: a value of the SDK's union for it."""

    def __init__(self, error: Any) -> None:
        super().__init__(str(error))
        self.error = error


class Accounts:
    """`token_lifetime` is in seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.token_lifetime = 14_400

    def register_app(self, key: str, secret: str, redirect_uri: str = "") -> None:
        self._store.run("REPLACE INTO apps VALUES (?, ?, ?)", key, secret, redirect_uri)

    def register_account(self, email: str, quota: int = 2 << 40) -> str:
        account = f"dbid:{hashlib.sha256(email.encode()).hexdigest()[:35]}"
        self._store.run("INSERT OR IGNORE INTO accounts (id, email, quota) VALUES (?, ?, ?)", account, email, quota)
        return account

    def grant(self, app: str, account: str, scopes: tuple[str, ...] = SCOPES) -> str:
        """A refresh token, as after a consent."""
        token = f"emulated-refresh-{secrets.token_urlsafe(32)}"
        self._store.run("INSERT INTO refresh_tokens VALUES (?, ?, ?, ?)", token, app, account, " ".join(scopes))
        return token

    def revoke(self, account: str) -> None:
        """The owner disconnects the app: every token dies."""
        self._store.run("DELETE FROM refresh_tokens WHERE account = ?", account)
        self._store.run("DELETE FROM access_tokens WHERE account = ?", account)

    def expire_tokens(self) -> None:
        self._store.run("UPDATE access_tokens SET expires = 0")

    def limit_scopes(self, account: str, scopes: tuple[str, ...]) -> None:
        """The owner's consent covers only these from now on."""
        for table in ("refresh_tokens", "access_tokens"):
            self._store.run(f"UPDATE {table} SET scopes = ? WHERE account = ?", " ".join(scopes), account)

    def tokens(self) -> list[str]:
        """All secrets there are."""
        rows = self._store.run("SELECT token FROM access_tokens UNION SELECT token FROM refresh_tokens")
        return [row[0] for row in rows]

    def account_of(self, authorization: str | None, scope: str) -> str:
        """The account that a bearer token stands for. Raises TokenRefused."""
        scheme, _, token = (authorization or "").partition(" ")
        rows = self._store.run("SELECT account, scopes, expires FROM access_tokens WHERE token = ?", token)
        if scheme.lower() != "bearer" or not rows:
            raise TokenRefused(auth.AuthError.invalid_access_token)
        account, scopes, expires = rows[0]
        if expires <= time.time():
            raise TokenRefused(auth.AuthError.expired_access_token)
        if scope not in scopes.split():
            raise TokenRefused(auth.AuthError.missing_scope(auth.TokenScopeError(required_scope=scope)))
        return str(account)

    def consent(self, request: Request) -> Response:
        """`GET /oauth2/authorize`: a consent page with a link for yes and one for no. The account of `login_hint`
        consents, where it is known; otherwise the first one."""
        asked = {name: values[0] for name, values in request.query.items()}
        apps = self._store.run("SELECT redirect_uri FROM apps WHERE key = ?", asked.get("client_id", ""))
        if not apps or asked.get("response_type") != "code":
            return Response(400, {"Content-Type": "text/html"}, b"<h1>Error (400)</h1><p>Invalid client_id</p>")
        if asked.get("redirect_uri") != apps[0][0]:
            return Response(400, {"Content-Type": "text/html"}, b"<h1>Error (400)</h1><p>Invalid redirect_uri</p>")
        accounts = self._store.run("SELECT id, email FROM accounts ORDER BY rowid")
        account = next((row[0] for row in accounts if row[1] == asked.get("login_hint")), accounts[0][0])
        code = secrets.token_urlsafe(24)
        self._store.run(
            "INSERT INTO codes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            code, asked["client_id"], account, asked.get("scope", " ".join(SCOPES)), asked.get("code_challenge", ""),
            asked["redirect_uri"], int(asked.get("token_access_type") == "offline"), time.time() + 600,
        )  # fmt: skip
        state = asked.get("state", "")
        yes = f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': state})}"
        no = f"{asked['redirect_uri']}?{urlencode({'error': 'access_denied', 'state': state})}"
        page = f'<h1>Connect?</h1><a id="allow" href="{yes}">Allow</a> <a id="deny" href="{no}">Cancel</a>'
        return Response(200, {"Content-Type": "text/html"}, page.encode())

    def answer(self, request: Request) -> Response:
        """`POST /oauth2/token`."""
        form = {name: values[0] for name, values in parse_qs(request.body.read_all().decode()).items()}
        basic = request.headers.get("Authorization", "").removeprefix("Basic ")
        if basic:
            form["client_id"], _, form["client_secret"] = base64.b64decode(basic).decode().partition(":")
        app = form.get("client_id", "")
        rows = self._store.run("SELECT secret FROM apps WHERE key = ?", app)
        if not rows:
            return _refusal("invalid_client: Invalid client_id or client_secret", 400, "invalid_client")
        secret_given = form.get("client_secret")
        if secret_given is not None and secret_given != rows[0][0]:
            return _refusal("invalid_client: Invalid client_id or client_secret", 400, "invalid_client")
        match form.get("grant_type"):
            case "refresh_token":
                return self._refresh(form, app)
            case "authorization_code":
                return self._exchange(form, app, has_secret=secret_given is not None)
        return _refusal("unsupported grant_type", 400, "unsupported_grant_type")

    def _refresh(self, form: dict[str, str], app: str) -> Response:
        token = form.get("refresh_token", "")
        rows = self._store.run("SELECT account, scopes FROM refresh_tokens WHERE token = ? AND app = ?", token, app)
        if not rows:
            return _refusal("refresh token is invalid or revoked", 400, "invalid_grant")
        return Response.json(self._issue(token, *rows[0]))

    def _exchange(self, form: dict[str, str], app: str, *, has_secret: bool) -> Response:
        code = form.get("code", "")
        rows = self._store.run(
            "SELECT account, scopes, challenge, redirect_uri, offline, expires FROM codes WHERE code = ? AND app = ?",
            code,
            app,
        )
        self._store.run("DELETE FROM codes WHERE code = ?", code)
        if not rows or rows[0][5] < time.time():
            return _refusal("code doesn't exist or has expired", 400, "invalid_grant")
        account, scopes, challenge, redirect_uri, offline, _ = rows[0]
        if form.get("redirect_uri") != redirect_uri:
            return _refusal("redirect_uri mismatch", 400, "invalid_grant")
        verifier = form.get("code_verifier", "")
        hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if challenge and hashed != challenge:
            return _refusal("invalid code verifier", 400, "invalid_grant")
        if not challenge and not has_secret:
            return _refusal("No auth function available for given request", 400, "invalid_client")
        refresh = self.grant(app, account, tuple(scopes.split())) if offline else ""
        answer = self._issue(refresh, account, scopes)
        return Response.json({**answer, **({"refresh_token": refresh} if offline else {})})

    def _issue(self, refresh: str, account: str, scopes: str) -> dict[str, Any]:
        token = f"sl.emulated-{secrets.token_urlsafe(32)}"
        expires = time.time() + self.token_lifetime
        self._store.run("INSERT INTO access_tokens VALUES (?, ?, ?, ?, ?)", token, refresh, account, scopes, expires)
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": self.token_lifetime,
            "scope": scopes,
            "account_id": account,
            "uid": "1",
        }


def _refusal(description: str, status: int, error: str) -> Response:
    return Response.json({"error": error, "error_description": description}, status)
