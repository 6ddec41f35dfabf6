"""`/api-auth/login/` and `/api-auth/logout/`: sessions for people with a browser (contracts: 1.3)."""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode

from litestar import MediaType, Response, get, post
from litestar.response import Redirect

from adapters.sessions import LIFETIME
from api.client_address import client_address
from api.csrf import COOKIE as CSRF_COOKIE
from api.csrf import FIELD
from api.security import SESSION_COOKIE
from api.serving import AnyRequest, in_thread, serving_of

LOGIN = "/api-auth/login/"
WRONG = "This username and password don't belong together, or the account may not come in."


@get("/api-auth/login", media_type=MediaType.HTML)
async def login_page(request: AnyRequest) -> Response[str]:
    """A form for username and password; `next` says where to go afterwards."""
    return _form(request, safe_target(request.query_params.get("next", "")))


@post("/api-auth/login", media_type=MediaType.HTML, status_code=200)
async def log_in(request: AnyRequest) -> Response[str] | Redirect:
    """Begin a session. Raises Forbidden for a request that our form didn't send, Throttled."""
    serving = serving_of(request)
    await serving.authenticator.csrf.check_login(request)
    form = await request.form()
    username, password, target = (_text(form.get(name)) for name in ("username", "password", "next"))
    target = safe_target(target or request.query_params.get("next", ""))
    if not username or not password:
        return _form(request, target, WRONG)
    address = client_address(request, serving.core.settings["STARFERRY_TRUSTED_PROXIES"])
    name = await serving.passwords.user_of(username, password, address)
    session_id = await in_thread(serving.core.sessions.begin, name) if name is not None else ""
    if not session_id or await serving.find(lambda: serving.authenticator.of_session(session_id)) is None:
        await in_thread(serving.core.sessions.end, session_id)
        return _form(request, target, WRONG)
    await _end(request)  # the session that the browser had before
    answer = Redirect(target, status_code=302)
    secure = is_secure(request)
    answer.set_cookie(
        key=SESSION_COOKIE,
        value=session_id,
        max_age=int(LIFETIME.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=secure,
    )
    answer.set_cookie(
        key=CSRF_COOKIE, value=serving.authenticator.csrf.token(session_id), samesite="lax", secure=secure
    )
    return answer


@get("/api-auth/logout", media_type=MediaType.HTML)
async def logout_page(request: AnyRequest) -> Response[str]:
    """A button: a link alone must not be able to log somebody out."""
    serving = serving_of(request)
    session_id = request.cookies.get(SESSION_COOKIE, "")
    principal = await serving.authenticator.of_session(session_id) if session_id else None
    if principal is None:
        return _page("Log out", f'<p>You aren\'t logged in. <a href="{LOGIN}">Log in</a></p>')
    hidden = f'<input type="hidden" name="{FIELD}" value="{serving.authenticator.csrf.token(session_id)}">'
    button = f'<form method="post">{hidden}<button>Log out</button></form>'
    return _page("Log out", f"<p>You are logged in as {escape(principal.username)}.</p>{button}")


@post("/api-auth/logout", status_code=302)
async def log_out(request: AnyRequest) -> Redirect:
    """End the session. Raises Forbidden without its CSRF token."""
    session_id = request.cookies.get(SESSION_COOKIE, "")
    if session_id:
        await serving_of(request).authenticator.csrf.check_session(request, session_id)
        await _end(request)
    answer = Redirect(safe_target(request.query_params.get("next", LOGIN)), status_code=302)
    answer.delete_cookie(SESSION_COOKIE)
    answer.delete_cookie(CSRF_COOKIE)
    return answer


def safe_target(target: str) -> str:
    """A path on this very site to go to; anything else becomes `/`."""
    if not target.startswith("/") or target[1:2] in ("/", "\\") or not target.isprintable() or not target.isascii():
        return "/"
    return "/" if "\\" in target else target


def login_address(target: str) -> str:
    """Where to send somebody who must log in before they see `target`."""
    return f"{LOGIN}?{urlencode({'next': safe_target(target)})}"


def is_secure(request: AnyRequest) -> bool:
    """Whether the browser reaches us by https."""
    public: str = serving_of(request).core.settings["STARFERRY_PUBLIC_URL"]
    return request.scope["scheme"] == "https" or public.startswith("https:")


async def _end(request: AnyRequest) -> None:
    serving = serving_of(request)
    if session_id := request.cookies.get(SESSION_COOKIE, ""):
        await in_thread(serving.core.sessions.end, session_id)
        serving.authenticator.forget_session(session_id)


def _form(request: AnyRequest, target: str, complaint: str = "") -> Response[str]:
    token = serving_of(request).authenticator.csrf.before_login(request)
    told = f'<p role="alert">{escape(complaint)}</p>' if complaint else ""
    answer = _page(
        "Log in",
        f"""{told}<form method="post" action="{LOGIN}">
<input type="hidden" name="{FIELD}" value="{token}">
<input type="hidden" name="next" value="{escape(target)}">
<p><label>Username <input name="username" autocomplete="username" required autofocus></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<button>Log in</button></form>""",
    )
    answer.set_cookie(key=CSRF_COOKIE, value=token, samesite="lax", secure=is_secure(request))
    return answer


def _page(title: str, body: str) -> Response[str]:
    return Response(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title} – Starferry</title><h1>{title}</h1>{body}</html>",
        media_type=MediaType.HTML,
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
        },
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) and "\0" not in value else ""
