"""`/api/v1/openapi.json`: what the whole HTTP surface offers."""

from __future__ import annotations

from litestar import Response, get

from api.serving import AnyRequest
from api.v1.answers import json_answer


@get("/openapi.json", include_in_schema=False)
async def description(request: AnyRequest) -> Response[bytes]:
    """The OpenAPI document."""
    return json_answer(request.app.openapi_schema.to_schema())
