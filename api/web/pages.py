"""How a page is made: templates in which every text is escaped, and the headers that keep it alone."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import MediaType, Response, get
from markupsafe import Markup, escape

CSP = "default-src 'self'; style-src 'self'"
"""No scripts but our own (there are none), no styles in the text, nothing from elsewhere."""

_templates = Environment(
    loader=PackageLoader("api.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_templates.policies["json.dumps_kwargs"] = {"ensure_ascii": False}


def prose(text: str) -> Markup:
    """A text in which `backquotes` mark code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


_templates.filters["prose"] = prose


def page(template: str, *, status: int = 200, headers: dict[str, str] | None = None, **context: Any) -> Response[str]:
    """The page that a template makes of `context`."""
    return Response(
        _templates.get_template(template).render(context, status=status),
        status_code=status,
        media_type=MediaType.HTML,
        headers={"Content-Security-Policy": CSP, "Cache-Control": "no-store", **(headers or {})},
    )


@get("/admin/style.css", media_type="text/css")
async def style() -> Response[bytes]:
    """The one style sheet."""
    sheet = files("api.web").joinpath("static/style.css").read_bytes()
    return Response(sheet, media_type="text/css", headers={"Cache-Control": "max-age=300"})
