"""`POST /authprofile/addupdateuser/`: the observation portal tells of a user (contracts: 1.3)."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

import msgspec
from litestar import Response, post

from api.correlation import correlation
from api.ocs.answers import json_answer
from api.ocs.negotiation import body_as_json
from api.ocs.record_body import BodyErrors
from api.serving import AnyRequest, in_thread, serving_of
from application.commands.portal import sync_user
from application.ports.portal import PortalUser
from domain.errors import Forbidden
from domain.event import Cause

_Text = Annotated[str, msgspec.Meta(max_length=1000)]


class _Tokens(msgspec.Struct):
    api_token: _Text | None = None


class _Profile(msgspec.Struct):
    staff_view: bool | None = None


class _Push(msgspec.Struct):
    """What the portal sends; whatever it leaves out is empty or false."""

    username: _Text
    first_name: _Text | None = None
    last_name: _Text | None = None
    email: _Text | None = None
    tokens: _Tokens | None = None
    is_staff: bool | None = None
    is_superuser: bool | None = None
    profile: _Profile | None = None


@post("/authprofile/addupdateuser", status_code=200)
async def add_or_update_user(request: AnyRequest) -> Response[bytes]:
    """Bring an account to what the portal says, creating it when it isn't there."""
    serving = serving_of(request)
    core = serving.core
    _must_have_key(request, core.settings["OAUTH_SERVER_KEY"])
    user = _user(await body_as_json(request))
    why = Cause(actor="portal", via="ocs", correlation=correlation(), reason="pushed by the observation portal")
    position = await in_thread(sync_user, core.log, core.vault, core.clock, why, user, with_flags=True)
    await serving.gate.settle("", str(position))
    serving.authenticator.forget_tokens()
    return json_answer({"message": "User account updated"})


def _must_have_key(request: AnyRequest, key: str) -> None:
    given = request.headers.get("authorization", "")
    if not key or not hmac.compare_digest(given.encode(), f"Server {key}".encode()):
        raise Forbidden("Invalid or missing API Key.")


def _user(body: bytes) -> PortalUser:
    """The pushed user. Raises BodyErrors with a sentence by field."""
    try:
        given: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyErrors({"detail": f"JSON parse error - {error}"}) from error
    if not isinstance(given, dict) or given.get("username") in (None, ""):
        raise BodyErrors({"username": ["This field is required."]})
    try:
        push = msgspec.convert(given, _Push, strict=False)
    except msgspec.ValidationError as error:
        raise BodyErrors({"non_field_errors": [f"{error}."]}) from error
    return PortalUser(
        username=push.username,
        first_name=push.first_name or "",
        last_name=push.last_name or "",
        email=push.email or "",
        api_token=(push.tokens and push.tokens.api_token) or "",
        is_staff=bool(push.is_staff),
        is_superuser=bool(push.is_superuser),
        staff_view=bool(push.profile and push.profile.staff_view),
    )
