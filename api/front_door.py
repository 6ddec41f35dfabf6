"""What holds for every route, before it is looked up: the request's id, CORS, HEAD, OPTIONS and format suffixes
(contracts: 1.1)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from api.correlation import HEADER, begin
from api.ocs.negotiation import READ, allowing_head

Headers = list[tuple[bytes, bytes]]
Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ANY_ORIGIN = (b"access-control-allow-origin", b"*")
"""No cookie goes with a request from elsewhere: credentials aren't allowed, so any origin may ask."""
PREFLIGHT: Headers = [
    ANY_ORIGIN,
    (b"access-control-allow-headers",
     b"accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with"),
    (b"access-control-allow-methods", b"DELETE, GET, OPTIONS, PATCH, POST, PUT"),
    (b"access-control-max-age", b"86400"),
]  # fmt: skip
_SUFFIX = re.compile(r"(/(?:frames|versions|thumbnails)(?:/.*)?)\.json/?")


class FrontDoor:
    """Stands before an ASGI application."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_header(send, (HEADER, begin(scope["headers"]).encode()))
        if any(name == b"origin" for name, _ in scope["headers"]):
            if scope["method"] == "OPTIONS" and _has(scope, b"access-control-request-method"):
                await _respond(send, 200, [*PREFLIGHT, (b"content-length", b"0")], b"")
                return
            send = _with_header(send, ANY_ORIGIN)
        if scope["path"].endswith((".json", ".json/")) and (suffixed := _SUFFIX.fullmatch(scope["path"])):
            scope = _without_suffix(scope, suffixed[1])
        match scope["method"]:
            case "HEAD":
                await self._head(scope, send)
            case "OPTIONS":
                await self._options(scope, receive, send)
            case _:
                await self._app(scope, receive, send)

    async def _head(self, scope: Scope, send: Send) -> None:
        """GET without the body, which isn't even made where it is streamed."""
        started = False

        async def receive() -> Message:
            return {"type": "http.disconnect"} if started else {"type": "http.request", "body": b"", "more_body": False}

        async def send_start(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        # a range is only for GET (RFC 9110, 14.2)
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await self._app({**scope, "method": "GET", "headers": headers}, receive, send_start)

    async def _options(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What may be done here, with a body where the framework has none."""
        described = False

        async def describe(message: Message) -> None:
            nonlocal described
            if message["type"] == "http.response.start" and message["status"] == 204:
                described = True
                body = msgspec.json.encode(_metadata(scope["path"]))
                headers = [
                    (b"allow", allowing_head(_methods(scope)).encode()),
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(body)).encode()),
                ]
                await _respond(send, 200, headers, body)
            elif not described:
                await send(message)

        await self._app(scope, receive, describe)


def _methods(scope: Scope) -> str:
    """Of the route that was found; its own answer only knows the methods of the handlers that it was begun with."""
    routes = scope["litestar_app"].routes
    return ",".join(method for route in routes if route.path == scope["path_template"] for method in route.methods)


def _metadata(path: str) -> dict[str, Any]:
    words = [word for word in path.split("/") if word and not word.isdecimal()]
    return {
        "name": (words[-1] if words else "starferry").replace("-", " ").capitalize(),
        "description": "See /openapi/ and /api/v1/openapi.json.",
        "renders": ["application/json"],
        "parses": list(READ),
    }


def _has(scope: Scope, wanted: bytes) -> bool:
    return any(name == wanted for name, _ in scope["headers"])


def _without_suffix(scope: Scope, path: str) -> Scope:
    query = scope["query_string"]
    asked = query + b"&format=json" if query else b"format=json"
    return {**scope, "path": path, "raw_path": path.encode(), "query_string": asked}


def _with_header(send: Send, header: tuple[bytes, bytes]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], header]
        await send(message)

    return sending


async def _respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
