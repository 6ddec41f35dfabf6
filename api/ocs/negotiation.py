"""Which content types the OCS surface speaks (contracts: 1.1). It answers in JSON, also to browsers."""

from __future__ import annotations

import msgspec
from litestar.exceptions import HTTPException

from api.serving import AnyRequest
from domain.errors import NotFound

FORMATS = ("json", "api")
READ = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
_SATISFIED = ("*/*", "application/*", "application/json", "text/*", "text/html")


class NotAcceptable(HTTPException):
    """The client wants a type that we don't have."""

    status_code = 406
    detail = "Could not satisfy the request Accept header."


class UnsupportedMediaType(HTTPException):
    """The client sends a type that we don't read."""

    status_code = 415


async def negotiate(request: AnyRequest) -> None:
    """Refuse what the answer can't be: an unknown `format`, or types of which JSON isn't one."""
    wanted = request.query_params.get("format", "")
    if wanted and wanted not in FORMATS:
        raise NotFound("Not found.")
    accept = request.headers.get("accept", "")
    if wanted or not accept.strip():
        return
    types = [one.split(";", 1)[0].strip().lower() for one in accept.split(",")]
    if not any(one in _SATISFIED for one in types):
        raise NotAcceptable


async def body_as_json(request: AnyRequest) -> bytes:
    """The body as JSON text; a form becomes an object of texts. Raises UnsupportedMediaType."""
    sent = request.headers.get("content-type", "")
    kind = sent.split(";", 1)[0].strip().lower()
    if kind in ("", "application/json"):
        return await request.body()
    if kind not in READ:
        raise UnsupportedMediaType(detail=f'Unsupported media type "{sent}" in request.')
    if kind == "application/x-www-form-urlencoded" and (await request.body()).lstrip().startswith(b"{"):
        return await request.body()  # what curl calls a form unless told otherwise
    form = await request.form()
    return msgspec.json.encode({name: value for name, value in form.multi_items() if isinstance(value, str)})


def allowing_head(allow: str) -> str:
    """An Allow header's value that also names HEAD, and OPTIONS, which every route has."""
    methods = {method.strip() for method in allow.split(",") if method.strip()} | {"OPTIONS"}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
