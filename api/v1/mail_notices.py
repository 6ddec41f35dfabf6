"""`/api/v1/mail-notices`: whether and where the asker wants mail about what failed."""

from __future__ import annotations

import msgspec
from litestar import Response, delete, get, put

from adapters.mail.book import state_query
from api.serving import AnyRequest, Serving, cause, in_thread, serving_of
from api.v1.answers import body_of, json_answer
from application.commands.mail_notices import choose_mail_notices, forget_mail_notices
from application.permissions import Principal, must_be_known
from domain import mail_notices
from domain.errors import NotAllowedNow


class MailForm(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The choice as it is sent. An empty address keeps the one there is."""

    enabled: bool
    address: str = ""


@get("/mail-notices")
async def mail_choice(request: AnyRequest) -> Response[bytes]:
    """What the asker has chosen."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    return json_answer(await _shown(serving, viewer))


@put("/mail-notices")
async def choose(request: AnyRequest) -> Response[bytes]:
    """Want mail, or none."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    form = await body_of(request, MailForm)
    core, why = serving.core, cause(principal, "api")
    if form.enabled and not core.settings["STARFERRY_SMTP_URL"]:
        raise NotAllowedNow("This service sends no mail: its operator has set no mail server.")
    position = await in_thread(
        choose_mail_notices, core.log, core.vault, core.clock, why, principal, form.enabled, form.address
    )
    serving.gate.wrote(principal.username, position)
    return json_answer(await _shown(serving, principal))


@delete("/mail-notices", status_code=204)
async def forget(request: AnyRequest) -> None:
    """Want no mail, and have the address forgotten."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    core, why = serving.core, cause(principal, "api")
    position = await in_thread(forget_mail_notices, core.log, core.vault, core.clock, why, principal)
    serving.gate.wrote(principal.username, position)


async def _shown(serving: Serving, viewer: Principal) -> dict[str, object]:
    core = serving.core
    choice = mail_notices.fold(await serving.log.load(mail_notices.stream_of(viewer.username)))
    secrets = await in_thread(core.vault.get, mail_notices.vault_owner(viewer.username))
    (state,) = await serving.webhooks.rows(*state_query(viewer.username))
    available = core.settings["STARFERRY_SMTP_URL"] is not None
    return {"enabled": choice.enabled, "address": secrets.get("address"), "available": available, **state}
