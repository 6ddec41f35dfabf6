"""`/api/v1/webhooks`. An address and its key are taken, and never shown again; the key is shown once."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath

from adapters.ids import new_id
from adapters.webhooks.book import deliveries_query
from api.read_gate import HEADER
from api.serving import AnyRequest, Serving, cause, in_thread, in_thread_of, serving_of
from api.v1.answers import body_of, json_answer, listing, window
from application.commands.webhooks import NewWebhook, create_webhook, delete_webhook, manage_webhook
from application.permissions import Principal, must_be_known
from domain.errors import RetryLater
from domain.webhooks import Interest


class WebhookForm(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new webhook as it is sent; of one destination's transfers alone, where it names one."""

    url: str
    name: str = "Webhook"
    interests: tuple[Interest, ...] = ("state",)
    storage_config: str = ""


@get("/webhooks")
async def list_webhooks(request: AnyRequest) -> Response[bytes]:
    """The asker's webhooks; a superuser's are everybody's."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    below, limit = window(request)
    rows = await serving.webhooks.webhooks(viewer, below=below, limit=limit + 1)
    return listing([_shown(row) for row in rows], limit, [row["number"] for row in rows])


@post("/webhooks")
async def create(request: AnyRequest) -> Response[bytes]:
    """A new webhook, with the key that signs what it is sent."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    form = await body_of(request, WebhookForm)
    key = f"whsec-{secrets.token_hex(32)}"
    interests = tuple(dict.fromkeys(form.interests))
    new = NewWebhook(
        id=new_id("hook"),
        url=form.url,
        secret=key,
        name=form.name,
        interests=interests,
        storage_config=form.storage_config,
    )
    core, why = serving.core, cause(principal, "api")
    position = await in_thread(
        create_webhook,
        core.log,
        core.vault,
        core.clock,
        why,
        principal,
        new,
        core.webhook_sender,
        core.notice_lookups,
    )
    serving.gate.wrote(principal.username, position)
    await serving.gate.settle(principal.username)
    card = await _card(serving, principal, new.id)
    return json_answer({**card, "secret": key}, status=201, headers={HEADER: str(position)})


@get("/webhooks/{webhook:str}")
async def webhook_detail(request: AnyRequest, webhook: FromPath[str]) -> Response[bytes]:
    """One webhook."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    return json_answer(await _card(serving, viewer, webhook))


@delete("/webhooks/{webhook:str}", status_code=204)
async def remove(request: AnyRequest, webhook: FromPath[str]) -> None:
    """Delete a webhook and destroy its key; what waits to be sent there is given up."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    core, why = serving.core, cause(principal, "api")
    position = await in_thread(delete_webhook, core.log, core.vault, core.clock, why, principal, webhook)
    serving.gate.wrote(principal.username, position)


@post("/webhooks/{webhook:str}/test", status_code=200)
async def test(request: AnyRequest, webhook: FromPath[str]) -> Response[bytes]:
    """Send a message without news, now and once."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    found = await in_thread(manage_webhook, serving.core.log, principal, webhook)
    return json_answer(await in_thread_of(serving.calls.tests, serving.core.webhook_post().test, found))


@get("/webhooks/{webhook:str}/deliveries")
async def deliveries(request: AnyRequest, webhook: FromPath[str]) -> Response[bytes]:
    """What was sent in the last weeks, what waits, and what was given up, newest first."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    await in_thread(manage_webhook, serving.core.log, viewer, webhook)
    below, limit = window(request)
    rows = await serving.webhooks.rows(*deliveries_query(webhook, below, limit + 1))
    return listing([_shown(row) for row in rows], limit, [row["number"] for row in rows])


async def _card(serving: Serving, viewer: Principal, webhook: str) -> dict[str, Any]:
    rows = await serving.find(lambda: serving.webhooks.webhooks(viewer, below=2**62, limit=1, webhook=webhook))
    if rows:
        return _shown(rows[0])
    await in_thread(manage_webhook, serving.core.log, viewer, webhook)  # raises, if it isn't there
    raise RetryLater("The read models are far behind; look again in a moment.")


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "number"}
