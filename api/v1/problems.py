"""Problem details (RFC 9457) for every error of the own API."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Response
from litestar.exceptions import HTTPException

from api.ocs.answers import allowed_methods
from api.serving import AnyRequest
from domain.errors import (
    AlreadyExists,
    Conflict,
    DestinationPaused,
    Forbidden,
    GiveUp,
    InvalidFile,
    InvalidInput,
    NeedsAuthorization,
    NotFound,
    RetryLater,
    StarferryError,
    Throttled,
    Unauthenticated,
)

logger = structlog.get_logger()

STATUSES: tuple[tuple[type[StarferryError], int, str], ...] = (
    (InvalidFile, 422, "The file can't be archived"),
    (InvalidInput, 400, "The request is invalid"),
    (Unauthenticated, 401, "Who are you?"),
    (Forbidden, 403, "Not allowed"),
    (NotFound, 404, "Not found"),
    (AlreadyExists, 409, "Already there"),
    (Conflict, 409, "Conflict"),
    (Throttled, 429, "Too many requests"),
    (RetryLater, 503, "Try again later"),
    (NeedsAuthorization, 409, "The destination must be authorized"),
    (DestinationPaused, 409, "The destination is paused"),
    (GiveUp, 409, "The destination can't be used"),
)


def problem(status: int, title: str, detail: str, kind: str = "", **more: Any) -> Response[bytes]:
    """One problem. `kind` is the error's class; `more` are further members."""
    body = {"type": f"urn:starferry:{kind}" if kind else "about:blank", "title": title, "status": status}
    headers = {"WWW-Authenticate": "Token"} if status == 401 else {}
    return Response(
        msgspec.json.encode({**body, "detail": detail, **more}),
        status_code=status,
        media_type="application/problem+json",
        headers=headers,
    )


def domain_error(_: AnyRequest, error: StarferryError) -> Response[bytes]:
    """An error of the tree."""
    for kind, status, title in STATUSES:
        if isinstance(error, kind):
            more = {"field": error.field} if isinstance(error, InvalidInput) and error.field else {}
            answer = problem(status, title, str(error), type(error).__name__, **more)
            if isinstance(error, RetryLater):
                answer.headers["Retry-After"] = str(int(error.retry_after or 5))
            elif isinstance(error, Throttled):
                answer.headers["Retry-After"] = str(error.wait)
            return answer
    logger.error("unexpected kind of error", error=type(error).__name__)
    return problem(500, "Something went wrong", "The server met an error that it didn't expect.")


def http_error(_: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Errors that the framework finds."""
    answer = problem(error.status_code, HTTPStatus(error.status_code).phrase, error.detail)
    answer.headers.update(allowed_methods(error))
    return answer


async def refuse_nul(request: AnyRequest) -> None:
    """No name in a path and no parameter holds a null character: PostgreSQL can't even look for one."""
    if "\0" in request.scope["path"]:
        raise NotFound("There is nothing of this name.")
    for name, value in request.query_params.multi_items():
        if "\0" in value:
            raise InvalidInput(f"{name} holds a null character.", field=name)


EXCEPTION_HANDLERS: dict[Any, Any] = {
    StarferryError: domain_error,
    HTTPException: http_error,
}
