"""A stand-in for the original archive's HTTP API on loopback, as far as an import reads it (contracts: 1.5-1.7, 1.11).

`cursors=False` answers like releases before cursor paging: `count` is an estimate, and `next` follows from that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.emulators.http_server import EmulatorServer, Request, Response


class OcsArchive:
    """Answers for `frames`, each as a list shows it with `headers` besides."""

    def __init__(self, frames: Sequence[dict[str, Any]], token: str, *, cursors: bool) -> None:
        self._frames = sorted(frames, key=lambda frame: frame["id"])
        self._token = token
        self._cursors = cursors

    def __call__(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Token {self._token}":
            return Response.json({"detail": "Invalid token."}, 401)
        match request.path.strip("/").split("/"):
            case ["frames"]:
                return Response.json(self._list(request))
            case ["frames", number, "headers"]:
                found = [frame["headers"] for frame in self._frames if str(frame["id"]) == number]
                return Response.json({"data": found[0]}) if found else _missing()
            case ["versions"]:
                versions = [version for frame in self._frames for version in frame["version_set"]]
                newest = sorted(versions, key=lambda version: -version["id"])[:1]
                return Response.json({"count": len(versions), "results": newest})
            case _:
                return _missing()

    def _list(self, request: Request) -> dict[str, Any]:
        shown = [_shown(frame, request) for frame in self._frames if frame["version_set"]]
        if request.arg("ordering") == "-id":
            shown.reverse()
        limit, base = int(request.arg("limit") or 100), "http://archive.example/frames/?ordering=id"
        if self._cursors and request.arg("pagination_style") == "cursor":
            first = int(request.arg("cursor") or 0)
            following = f"{base}&limit={limit}&pagination_style=cursor&include_thumbnails=true&cursor={first + limit}"
            more = first + limit < len(shown)
            return {"next": following if more else None, "previous": None, "results": shown[first : first + limit]}
        first = int(request.arg("offset") or 0)
        count = len(shown) if "force_count" in request.query else 1
        return {"count": count, "next": None, "previous": None, "results": shown[first : first + limit]}


def _shown(frame: dict[str, Any], request: Request) -> dict[str, Any]:
    left_out = {"headers"} | (set() if request.arg("include_thumbnails") == "true" else {"thumbnails"})
    if frame.get("area") is None:
        left_out.add("area")
    return {name: value for name, value in frame.items() if name not in left_out}


def _missing() -> Response:
    return Response.json({"detail": "Not found."}, 404)


@contextmanager
def running_archive(frames: Sequence[dict[str, Any]], token: str, *, cursors: bool = True) -> Iterator[EmulatorServer]:
    """Serve on loopback until the block ends."""
    server = EmulatorServer(OcsArchive(frames, token, cursors=cursors))
    with server.running():
        yield server
