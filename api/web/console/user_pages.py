"""The console's pages of users: find them, look at one, create and change accounts, tokens."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.response import Redirect

from adapters.ids import new_token
from api.serving import AnyRequest, Serving, cause, in_thread, serving_of
from api.web.console.asking import changer, console_page, form_of, go_to, looker
from api.web.console.frame_pages import SHOWN_EVENTS, shown
from application.commands.accounts import (
    change_account,
    create_token,
    create_user,
    revoke_hashed_token,
    set_password,
)
from application.history import stream_history
from application.permissions import Principal
from domain.errors import Forbidden, NotFound, StarferryError
from projections.account_queries import AccountQueries

ROWS = 100
HASH = re.compile("[0-9a-f]{64}")


@get("/users")
async def list_users(request: AnyRequest) -> Response[str]:
    """Accounts by name, and a form for a new one."""
    return await _list(request, await looker(request))


@post("/users")
async def new_user(request: AnyRequest) -> Response[Any] | Redirect:
    """Create an account."""
    viewer = await changer(request)
    form = await form_of(request)
    serving, core = serving_of(request), serving_of(request).core
    username = form.get("username", "").strip()
    why = cause(viewer, "console")
    superuser = "is_superuser" in form
    try:
        position = await in_thread(
            create_user,
            core.log,
            core.passwords,
            core.clock,
            why,
            username,
            password=form.get("password") or None,
            is_superuser=superuser,
            proposals=proposals_in(form.get("proposals", "")),
        )
        if "is_staff" in form and not superuser:
            position = await in_thread(change_account, core.log, core.clock, why, username, is_staff=True)
    except StarferryError as error:
        return await _list(request, viewer, given=form, complaint=str(error), status=400)
    serving.gate.wrote(viewer.username, position)
    return go_to(address(username), "created")


async def _list(
    request: AnyRequest,
    viewer: Principal,
    *,
    given: dict[str, str] | None = None,
    complaint: str = "",
    status: int = 200,
) -> Response[str]:
    part, beyond = (request.query_params.get(name, "").replace("\0", "") for name in ("name", "beyond"))
    rows = await _accounts(request).accounts(part=part, beyond=beyond, limit=ROWS + 1)
    more = urlencode({"name": part, "beyond": rows[ROWS - 1]["username"]}) if len(rows) > ROWS else ""
    return console_page(
        request,
        viewer,
        "users.html",
        status=status,
        accounts=rows[:ROWS],
        part=part,
        more=more,
        given=given or {},
        complaint=complaint,
        address=address,
    )


@get("/user")
async def show_user(request: AnyRequest) -> Response[str]:
    """One account with its tokens and, for superusers, its history."""
    return await _page(request, await looker(request), _name(request))


@post("/user/rights")
async def change_rights(request: AnyRequest) -> Response[Any] | Redirect:
    """Set flags and granted proposals."""
    viewer, username = await changer(request), _name(request)
    form = await form_of(request)
    serving, core = serving_of(request), serving_of(request).core
    if username == viewer.username and not ("active" in form and "is_superuser" in form):
        raise Forbidden("You can't shut yourself out; another superuser can do it.")
    before = await in_thread(core.log.head)
    position = await in_thread(
        change_account,
        core.log,
        core.clock,
        cause(viewer, "console", form.get("reason", "").strip()[:500]),
        username,
        is_superuser="is_superuser" in form,
        is_staff="is_staff" in form,
        active="active" in form,
        proposals=proposals_in(form.get("proposals", "")),
    )
    if "active" not in form:
        await in_thread(core.sessions.end_all, username)
    await _in_force(serving, viewer, position)
    return go_to(address(username), "changed" if position > before else "nothing")


@post("/user/password")
async def change_password(request: AnyRequest) -> Response[Any] | Redirect:
    """Set a password. Whoever is logged in with the old one is out, but for the superuser who changes their own."""
    viewer, username = await changer(request), _name(request)
    form = await form_of(request)
    serving, core = serving_of(request), serving_of(request).core
    why = cause(viewer, "console")
    try:
        position = await in_thread(
            set_password, core.log, core.passwords, core.clock, why, username, form.get("password", "")
        )
    except NotFound:
        raise
    except StarferryError as error:
        return await _page(request, viewer, username, complaint=str(error), status=400)
    if username != viewer.username:
        await in_thread(core.sessions.end_all, username)
    await _in_force(serving, viewer, position)
    return go_to(address(username), "password")


@post("/user/tokens")
async def new_user_token(request: AnyRequest) -> Response[Any]:
    """Make a token; this page shows it, and nothing ever again."""
    viewer, username = await changer(request), _name(request)
    serving, core = serving_of(request), serving_of(request).core
    token = new_token()
    try:
        position = await in_thread(create_token, core.log, core.clock, cause(viewer, "console"), username, token)
    except StarferryError as error:
        return await _page(request, viewer, username, complaint=str(error), status=409)
    serving.gate.wrote(viewer.username, position)
    return console_page(request, viewer, "token.html", status=201, username=username, token=token, address=address)


@post("/user/tokens/revoke")
async def end_user_token(request: AnyRequest) -> Redirect:
    """End a token, named by its hash."""
    viewer, username = await changer(request), _name(request)
    form = await form_of(request)
    serving, core = serving_of(request), serving_of(request).core
    if not HASH.fullmatch(form.get("hash", "")):
        raise NotFound("There is no such token.")
    why = cause(viewer, "console")
    position = await in_thread(revoke_hashed_token, core.log, core.clock, why, username, form["hash"])
    await _in_force(serving, viewer, position)
    return go_to(address(username), "revoked")


async def _page(
    request: AnyRequest, viewer: Principal, username: str, *, complaint: str = "", status: int = 200
) -> Response[str]:
    serving = serving_of(request)
    account = await serving.find(lambda: _accounts(request).account(username))
    if account is None:
        raise NotFound("There is no such user.")
    life = await in_thread(stream_history, serving.core.log, "account", username) if viewer.is_superuser else []
    return console_page(
        request,
        viewer,
        "user.html",
        status=status,
        account=account,
        tokens=await _accounts(request).tokens(username),
        life=[shown(entry) for entry in life[-SHOWN_EVENTS:][::-1]],
        earlier=max(0, len(life) - SHOWN_EVENTS),
        complaint=complaint,
        address=address,
    )


async def _in_force(serving: Serving, viewer: Principal, position: int) -> None:
    """From here on this process lets nobody in on what was true before."""
    serving.gate.wrote(viewer.username, position)
    await serving.gate.settle(viewer.username)
    serving.authenticator.forget_tokens()


def address(username: str, change: str = "") -> str:
    """The page of a user, or where a change of it is sent. Names may hold slashes, so they aren't part of the path."""
    return f"/admin/user/{change}?{urlencode({'name': username})}"


def _name(request: AnyRequest) -> str:
    return request.query_params.get("name", "").replace("\0", "")


def proposals_in(text: str) -> tuple[str, ...]:
    """Proposals as they are typed: separated by commas, spaces or lines."""
    return tuple(word for word in re.split(r"[\s,]+", text) if word)


def _accounts(request: AnyRequest) -> AccountQueries:
    return AccountQueries(serving_of(request).pool)
