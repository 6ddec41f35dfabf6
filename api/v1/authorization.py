"""Authorizing a destination at its provider: the call that begins it, and the page to which the provider sends back."""

from __future__ import annotations

import secrets
from html import escape

from litestar import MediaType, Response, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath

from api.correlation import correlation
from api.serving import AnyRequest, base_url, in_thread, in_thread_of, serving_of
from api.v1.answers import json_answer
from application.commands.authorization import (
    LIFETIME,
    Authorized,
    begin_authorization,
    complete_authorization,
    name_of,
    refuse_authorization,
)
from application.permissions import must_be_known
from domain.errors import NotFound, StarferryError
from domain.storage_configs import Provider

PATHS: dict[Provider, str] = {"dropbox": "dropbox", "google_drive": "google-drive"}
PROVIDERS = {path: provider for provider, path in PATHS.items()}
COOKIE = "starferry_authorization_"
"""What the names of cookies begin with: one for each authorization, for a browser may have begun several."""


@post("/storage-configs/{config_id:str}/authorize", status_code=200)
async def authorize(request: AnyRequest, config_id: FromPath[str]) -> Response[bytes]:
    """Where the account's owner has to go, and the redirect URI to register with the provider's app."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    core = serving.core
    # who comes with a token is a program: its user agrees in a browser that we haven't met
    browser = "" if request.headers.get("authorization") else secrets.token_urlsafe(32)
    base = base_url(core, request)
    begun = await in_thread(
        begin_authorization,
        core.log,
        core.vault,
        core.clock,
        core.consents,
        principal,
        config_id,
        redirect=lambda provider: f"{base}/oauth/callback/{PATHS.get(provider, provider)}",
        new_secret=lambda: secrets.token_urlsafe(32),
        browser=browser,
    )
    answer = json_answer({"authorization_url": begun.page, "redirect_uri": begun.redirect_uri})
    if browser:
        answer.set_cookie(
            Cookie(
                COOKIE + begun.name,
                value=browser,
                path="/oauth/",
                httponly=True,
                samesite="lax",
                secure=begun.redirect_uri.startswith("https:"),
                max_age=int(LIFETIME.total_seconds()),
            )
        )
    return answer


@get("/oauth/callback/{provider:str}", media_type=MediaType.HTML)
async def callback(request: AnyRequest, provider: FromPath[str]) -> Response[bytes]:
    """The provider sends the account's owner back here, with a code or with a refusal."""
    if provider not in PROVIDERS:
        raise NotFound("Not found.")
    serving = serving_of(request)
    core, asked = serving.core, request.query_params
    state, code = asked.get("state", ""), asked.get("code", "")
    try:
        if refusal := asked.get("error", ""):
            await in_thread(refuse_authorization, core.vault, state)
            return _page(400, "Not authorized", _refused(refusal))
        done = await in_thread_of(
            serving.calls.consents,
            complete_authorization,
            core.log,
            core.vault,
            core.clock,
            core.consents,
            core.lookups,
            correlation(),
            PROVIDERS[provider],
            state=state,
            code=code,
            browser=request.cookies.get(COOKIE + name_of(state), ""),
        )
    except StarferryError as error:
        return _page(400, "Not authorized", str(error))
    serving.gate.wrote(done.config.owner, done.position)
    return _page(200, "Authorized", _said(done))


def _said(done: Authorized) -> str:
    name = done.config.settings.display_name
    return f"“{name}” delivers to the account {done.account} now. What waited for it goes on. You can close this page."


def _refused(error: str) -> str:
    if error == "access_denied":
        return "The provider says that the authorization was refused. Start again from the storage configuration."
    return (
        "The provider sent an error instead of a code. Check that the app's key is right and that its redirect URI is "
        "exactly the one that Starferry showed, and start again from the storage configuration."
    )


def _page(status: int, title: str, text: str) -> Response[bytes]:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} – Starferry</title></head>"
        f"<body><main><h1>{escape(title)}</h1><p>{escape(text)}</p></main></body></html>"
    )
    headers = {"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store"}
    return Response(html.encode(), status_code=status, media_type=MediaType.HTML, headers=headers)
