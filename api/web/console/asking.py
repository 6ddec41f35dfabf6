"""Who may see a page of the console, who may change something, and how both are told when they may not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from api.csrf import FIELD
from api.ocs.answers import allowed_methods
from api.ocs.session_pages import login_address
from api.security import SESSION_COOKIE
from api.serving import AnyRequest, serving_of
from api.web.pages import page
from application.permissions import Principal, must_be_known, must_be_superuser
from domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    RetryLater,
    StarferryError,
    Unauthenticated,
)

PLACES = {"/admin/": "Overview", "/admin/frames/": "Frames", "/admin/users/": "Users", "/admin/service/": "Service"}
DONE = {
    "changed": "The change is recorded.",
    "nothing": "Nothing was different, so nothing was recorded.",
    "deleted": "The frame is deleted; its files are being removed.",
    "created": "The account is there.",
    "password": "The password is set.",
    "revoked": "The token is no longer good.",
}
"""What a page may say after a change; only the key is in the address."""
_STATUSES: tuple[tuple[type[StarferryError], int], ...] = (
    (InvalidInput, 400),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (RetryLater, 503),
)


async def looker(request: AnyRequest) -> Principal:
    """Whoever asks, if they are staff. Raises Unauthenticated, Forbidden."""
    viewer = await serving_of(request).viewer(request)
    must_be_known(viewer)
    if not (viewer.is_staff or viewer.is_superuser):
        raise Forbidden("The console is for staff.")
    return viewer


async def changer(request: AnyRequest) -> Principal:
    """Whoever asks, if they are a superuser; the session's CSRF token has been checked. Raises Unauthenticated,
    Forbidden."""
    viewer = await serving_of(request).viewer(request)
    must_be_superuser(viewer)
    return viewer


async def form_of(request: AnyRequest) -> dict[str, str]:
    """The fields of the form that was sent. Raises InvalidInput for what PostgreSQL can't store."""
    fields = {name: value for name, value in (await request.form()).multi_items() if isinstance(value, str)}
    if any("\0" in value or not _is_text(value) for value in fields.values()):
        raise InvalidInput("The form holds characters that can't be stored.")
    return fields


def console_page(
    request: AnyRequest, viewer: Principal, template: str, *, status: int = 200, **context: Any
) -> Response[str]:
    """A page of the console, with who is looking, where, and what every form needs."""
    path = request.scope["path"].rstrip("/") + "/"
    here = max((place for place in PLACES if path.startswith(place.removesuffix("s/"))), key=len, default="")
    return page(
        f"console/{template}",
        status=status,
        viewer=viewer,
        places=PLACES,
        here=here,
        csrf_field=FIELD,
        csrf_token=_csrf_token(request),
        done=DONE.get(request.query_params.get("done", ""), ""),
        **context,
    )


def go_to(path: str, done: str = "") -> Redirect:
    """On to another page after a change, so that loading it again repeats nothing."""
    return Redirect(f"{path}{'&' if '?' in path else '?'}done={done}" if done else path, status_code=303)


def refused(request: AnyRequest, error: StarferryError) -> Response[Any]:
    """Those who aren't logged in may do so; others read why not."""
    if isinstance(error, Unauthenticated):
        path, query = request.scope["path"], request.scope["query_string"].decode("ascii", "replace")
        wanted = f"{path}?{query}" if query and request.method == "GET" else path
        return Redirect(login_address(wanted), status_code=302)
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 409)
    return page("console/refused.html", status=status, message=str(error))


def not_served(_: AnyRequest, error: HTTPException) -> Response[Any]:
    """What the framework refuses."""
    message = "There is no such page." if error.status_code == 404 else error.detail
    headers = allowed_methods(error)
    return page(
        "console/refused.html",
        status=error.status_code,
        headers=headers,
        status_code=error.status_code,
        message=message,
    )


HANDLERS: Mapping[Any, Any] = {StarferryError: refused, HTTPException: not_served}


def _csrf_token(request: AnyRequest) -> str:
    session = request.cookies.get(SESSION_COOKIE, "")
    return serving_of(request).authenticator.csrf.token(session) if session else ""


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
