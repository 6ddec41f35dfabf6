"""A stand-in for an observation portal on loopback: `python -m tests.emulators.portal --port N`.

`POST /o/token/` is the password grant (form), `GET /api/profile/` tells of whose `Bearer` or `Token` comes,
`GET /api/proposals/<id>/` has a proposal's tags (without the slash it redirects, as portals do). Users are made with
`POST /_emulator/users`, tags with `POST /_emulator/proposals`; faults and the request log are http_server's.
"""

from __future__ import annotations

import argparse
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.emulators.faults import Fault
from tests.emulators.http_server import EmulatorServer, Request, Response

CLIENT = ("archive", "client-secret-4711")
SERVICE_TOKEN = "service-token-0815"
PROFILE_FIELDS = ("username", "first_name", "last_name", "email", "is_staff", "is_superuser")


@dataclass
class User:
    """Somebody whom the portal knows."""

    username: str
    password: str = ""
    first_name: str = "Ada"
    last_name: str = "Lovelace"
    email: str = "ada@example.org"
    is_staff: bool = False
    is_superuser: bool = False
    staff_view: bool = False
    proposals: list[str] = field(default_factory=list)
    api_token: str = field(default_factory=lambda: secrets.token_hex(20))
    bearers: set[str] = field(default_factory=set)


class PortalEmulator:
    """The portal's state and its answers."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.tags: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def user(self, username: str, **details: Any) -> User:
        """Add or replace a user."""
        self.users[username] = User(username, **details)
        return self.users[username]

    def bearer(self, username: str) -> str:
        """A new access token of a user's."""
        token = secrets.token_urlsafe(24)
        self.users[username].bearers.add(token)
        return token

    def __call__(self, request: Request) -> Response:
        match request.method, request.path:
            case "POST", "/o/token/":
                return self._grant(parse_qs(request.body.read_all().decode(), keep_blank_values=True))
            case "GET", "/api/profile/":
                return self._profile(request.headers.get("Authorization", ""))
            case "POST", "/_emulator/users":
                return Response.json({"api_token": self.user(**json.loads(request.body.read_all())).api_token})
            case "POST", "/_emulator/proposals":
                self.tags.update(json.loads(request.body.read_all()))
                return Response.json({})
            case "GET", path if path.startswith("/api/proposals/"):
                return self._proposal(path, request.headers.get("Authorization", ""))
        return Response.json({"detail": "Not found."}, 404)

    def _grant(self, form: dict[str, list[str]]) -> Response:
        given = {name: values[0] for name, values in form.items()}
        if (given.get("client_id"), given.get("client_secret")) != CLIENT or given.get("grant_type") != "password":
            return Response.json({"error": "invalid_client"}, 401)
        user = self.users.get(given.get("username", ""))
        if user is None or not user.password or given.get("password") != user.password:
            return Response.json({"error": "invalid_grant"}, 400)
        return Response.json({"access_token": self.bearer(user.username), "refresh_token": secrets.token_hex(8)})

    def _profile(self, authorization: str) -> Response:
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            for user in list(self.users.values()):
                good = token in user.bearers if scheme == "Bearer" else scheme == "Token" and token == user.api_token
                if token and good:
                    profile = {name: getattr(user, name) for name in PROFILE_FIELDS}
                    profile["profile"] = {"staff_view": user.staff_view}
                    profile["tokens"] = {"api_token": user.api_token}
                    profile["proposals"] = [{"id": proposal, "title": "…"} for proposal in user.proposals]
                    return Response.json(profile)
        return Response.json({"detail": "Invalid token."}, 401)

    def _proposal(self, path: str, authorization: str) -> Response:
        if authorization != f"Token {SERVICE_TOKEN}":
            return Response.json({"detail": "Invalid token."}, 401)
        if not path.endswith("/"):
            return Response(301, {"Location": f"{path}/"})
        name = unquote(path.removeprefix("/api/proposals/").rstrip("/"))
        if name not in self.tags:
            return Response.json({"detail": "Not found."}, 404)
        return Response.json({"id": name, "tags": self.tags[name]})


class RunningPortal:
    """What tests ask of it."""

    def __init__(self, emulator: PortalEmulator, server: EmulatorServer) -> None:
        self.emulator = emulator
        self.server = server
        self.url = server.url

    @property
    def settings(self) -> dict[str, str]:
        """What Starferry needs to be told of it."""
        return {
            "OAUTH_PROFILE_URL": f"{self.url}/api/profile/",
            "OAUTH_TOKEN_URL": f"{self.url}/o/token/",
            "OAUTH_CLIENT_ID": CLIENT[0],
            "OAUTH_CLIENT_SECRET": CLIENT[1],
            "OAUTH_SERVER_KEY": "server-key-1234",
        }

    def calls(self, path: str) -> int:
        """How many requests came for this path so far."""
        return sum(one["path"].startswith(path) for one in self.server.log)

    @contextmanager
    def outage(self, **fault: Any) -> Iterator[None]:
        """Nothing is answered, or what the fault says, until the block ends."""
        self.server.faults.add(Fault(times=0, **(fault or {"status": 503})))
        try:
            yield
        finally:
            self.server.faults.clear()


@contextmanager
def running_portal(port: int = 0) -> Iterator[RunningPortal]:
    """Serve on loopback until the block ends."""
    emulator = PortalEmulator()
    server = EmulatorServer(emulator, port)
    with server.running():
        yield RunningPortal(emulator, server)


def main() -> None:
    """Serve until interrupted; the first line on stdout is the address."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.portal", description="A loopback portal.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    server = EmulatorServer(PortalEmulator(), parser.parse_args().port)
    print(server.url, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
