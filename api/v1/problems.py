"""Problem details (RFC 9457) for every error of the own API."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from litestar import Response
from litestar.exceptions import HTTPException

from api.serving import AnyRequest
from domain.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    InvalidFile,
    InvalidInput,
    NotFound,
    RetryLater,
    StarferryError,
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
    (RetryLater, 503, "Try again later"),
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
            return problem(status, title, str(error), type(error).__name__, **more)
    logger.error("unexpected kind of error", error=type(error).__name__)
    return problem(500, "Something went wrong", "The server met an error that it didn't expect.")


def bad_body(_: AnyRequest, error: msgspec.MsgspecError) -> Response[bytes]:
    """A body that isn't JSON or doesn't fit."""
    return problem(400, "The request is invalid", f"The body can't be used: {error}", "InvalidInput")


def http_error(_: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Errors that the framework finds."""
    return problem(error.status_code, "The request can't be served", error.detail)


EXCEPTION_HANDLERS: dict[Any, Any] = {
    StarferryError: domain_error,
    msgspec.MsgspecError: bad_body,
    HTTPException: http_error,
}
