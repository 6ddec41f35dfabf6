"""How the OCS surface answers: bodies, and errors with the original's sentences."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException

from api.ocs.filters import FilterErrors
from api.ocs.negotiation import allowing_head
from api.ocs.record_body import BodyErrors
from api.serving import AnyRequest
from domain.errors import (
    Forbidden,
    InvalidGeometry,
    InvalidInput,
    NotFound,
    RetryLater,
    StarferryError,
    Throttled,
    Unauthenticated,
)
from projections.frames.rows import encode


class NotVisible(NotFound):
    """No such frame, or not for this asker: the same answer."""

    def __init__(self, message: str = "No Frame matches the given query.") -> None:
        super().__init__(message)


def json_answer(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """A JSON response from anything that msgspec can encode."""
    return Response(encode(value), status_code=status, media_type="application/json", headers=headers)


def detail(status: int, message: str, headers: dict[str, str] | None = None) -> Response[bytes]:
    """The usual error body."""
    return json_answer({"detail": message}, status=status, headers=headers)


def bad_filters(_: AnyRequest, error: FilterErrors) -> Response[bytes]:
    """400 with sentences by parameter."""
    return json_answer(error.errors, status=400)


def bad_body(_: AnyRequest, error: BodyErrors) -> Response[bytes]:
    """400 with sentences by field."""
    return json_answer(error.errors, status=400)


def domain_error(_: AnyRequest, error: StarferryError) -> Response[bytes]:
    """Errors of the tree, as the original words them."""
    match error:
        case InvalidGeometry():
            return json_answer([str(error)], status=400)
        case InvalidInput():
            return json_answer({error.field or "non_field_errors": [str(error)]}, status=400)
        case Unauthenticated():
            return detail(401, str(error), {"WWW-Authenticate": "Token"})
        case Forbidden():
            return detail(403, str(error))
        case NotFound():
            return detail(404, str(error))
        case RetryLater():
            return detail(503, str(error), {"Retry-After": str(int(error.retry_after or 5))})
        case Throttled():
            return detail(429, str(error), {"Retry-After": str(error.wait)})
        case _:
            return detail(409, str(error))


def http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Errors that the framework finds."""
    match error:
        case MethodNotAllowedException():
            return detail(405, f'Method "{request.method}" not allowed.', allowed_methods(error))
        case NotFoundException():
            return detail(404, "Not found.")
        case _:
            return detail(error.status_code, error.detail)


def allowed_methods(error: HTTPException) -> dict[str, str]:
    """The headers of a refused method: every route also knows OPTIONS, and HEAD where it knows GET."""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return {"Allow": allowing_head(headers["allow"])} if "allow" in headers else {}


EXCEPTION_HANDLERS: dict[Any, Any] = {
    FilterErrors: bad_filters,
    BodyErrors: bad_body,
    StarferryError: domain_error,
    HTTPException: http_error,
}
