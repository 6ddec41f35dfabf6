"""`POST /api-token-auth/`: a password for a token; `POST /revoke_token/`: an end to it (contracts: 1.3)."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, post

from adapters.ids import new_token
from api.client_address import client_address
from api.ocs.answers import json_answer
from api.ocs.negotiation import body_as_json
from api.ocs.record_body import BodyErrors
from api.serving import AnyRequest, cause, in_thread, serving_of
from application.commands.accounts import login_token, replace_tokens
from application.permissions import Principal, must_be_known
from domain.errors import NotAllowedNow

REFUSED = {"non_field_errors": ["Unable to log in with provided credentials."]}


@post("/api-token-auth", status_code=200)
async def token_for_password(request: AnyRequest) -> Response[bytes]:
    """The token of whoever has this password, the same each time; whoever has come in already gets theirs."""
    serving = serving_of(request)
    known = await serving.asker(request, throttled=False)
    if known.authenticated:
        held = await serving.authenticator.made_here(request.headers.get("authorization", ""))
        return json_answer({"token": held or await _token(request, known.username)})
    username, password = _credentials(await body_as_json(request))
    address = client_address(request, serving.core.settings["STARFERRY_TRUSTED_PROXIES"])
    name = await serving.passwords.user_of(username, password, address)
    if name is None:
        raise BodyErrors(REFUSED)
    try:
        return json_answer({"token": await _token(request, name)})
    except NotAllowedNow as error:
        raise BodyErrors(REFUSED) from error


@post("/revoke_token", status_code=200)
async def revoke_token(request: AnyRequest) -> Response[bytes]:
    """All tokens that were made here for the asker end; the portal's token isn't ours to end."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    core = serving.core
    position = await in_thread(
        replace_tokens,
        core.log,
        core.vault,
        core.clock,
        cause(principal, "ocs", "asked for by the user"),
        principal.username,
        new_token(),
    )
    serving.gate.wrote(principal.username, position)
    await serving.gate.settle(principal.username)
    serving.authenticator.forget_tokens()
    return json_answer({"message": "API token revoked."})


async def _token(request: AnyRequest, username: str) -> str:
    serving = serving_of(request)
    core, why = serving.core, cause(Principal(username), "ocs")
    token, position = await in_thread(login_token, core.log, core.vault, core.clock, why, username, new_token())
    serving.gate.wrote(username, position)
    return token


def _credentials(body: bytes) -> tuple[str, str]:
    try:
        given: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyErrors({"detail": f"JSON parse error - {error}"}) from error
    fields = given if isinstance(given, dict) else {}
    errors: dict[str, list[str]] = {}
    for name in ("username", "password"):
        value = fields.get(name)
        if value is None:
            errors[name] = ["This field is required."]
        elif not isinstance(value, str) or "\0" in value:
            errors[name] = ["Not a valid string."]
        elif not value:
            errors[name] = ["This field may not be blank."]
    if errors:
        raise BodyErrors(errors)
    return fields["username"], fields["password"]
