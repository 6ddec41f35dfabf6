"""What the application serves, in the words of its OpenAPI documents."""

from __future__ import annotations

import re

from litestar.routes import HTTPRoute

from api.app import create_app
from api.settings import Settings

PAGES = ("/admin", "/app", "/oauth")
"""Below these are pages for people, which no program asks."""


def served() -> set[tuple[str, str]]:
    """Every method of every route but those of the pages."""
    return {
        (method.lower(), shape(route.path))
        for route in create_app(Settings({}), "").routes
        if isinstance(route, HTTPRoute) and not route.path.startswith(PAGES)
        for method in route.methods
        if method not in ("OPTIONS", "HEAD")
    }


def shape(path: str) -> str:
    """A path without the names of its parameters and the slash at its end."""
    return re.sub(r"\{[^}]*\}", "{}", path).rstrip("/") or "/"
