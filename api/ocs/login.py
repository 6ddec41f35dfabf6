"""`POST /api-token-auth/`: a password for a token (contracts: 1.3). Local accounts; the portal comes later."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, post

from adapters.ids import new_token
from api.ocs.answers import json_answer
from api.ocs.negotiation import body_as_json
from api.ocs.record_body import BodyErrors
from api.serving import AnyRequest, cause, in_thread, serving_of
from application.commands.accounts import create_token
from application.permissions import Principal
from domain.errors import NotAllowedNow

REFUSED = {"non_field_errors": ["Unable to log in with provided credentials."]}


@post("/api-token-auth", status_code=200)
async def token_for_password(request: AnyRequest) -> Response[bytes]:
    """A fresh token for a user's password; whoever comes with a token gets that one back."""
    serving = serving_of(request)
    authorization = request.headers.get("authorization", "")
    if (await serving.authenticator.principal(authorization)).authenticated:
        return json_answer({"token": authorization.split()[1]})
    username, password = _credentials(await body_as_json(request))
    core = serving.core
    if not await in_thread(core.passwords.check, username, password):
        raise BodyErrors(REFUSED)
    token = new_token()
    try:
        why = cause(Principal(username), "ocs")
        position = await in_thread(create_token, core.log, core.clock, why, username, token)
    except NotAllowedNow as error:
        raise BodyErrors(REFUSED) from error
    serving.gate.wrote(username, position)
    return json_answer({"token": token})


def _credentials(body: bytes) -> tuple[str, str]:
    try:
        given: Any = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
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
